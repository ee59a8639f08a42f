//! One request: authenticated, bounded in time and bytes, asked again only where that is safe and of use.

use super::options::{Credentials, SourceOptions};
use crate::error::{Problem, shorten};
use crate::history::SourceError;
use crate::rng::{self, Rng};
use rand::RngCore;
use reqwest::header::{CONTENT_ENCODING, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Bytes of one answer at most: 32 series of 11,000 points are 14 MB.
pub const MAX_ANSWER_BYTES: usize = 32 << 20;
/// Bytes of an answer that is an error at most; what is beyond isn't looked at.
const MAX_ERROR_BYTES: usize = 64 << 10;
/// Times one request is sent at most.
pub const MAX_ATTEMPTS: u32 = 3;
/// The wait before the second attempt, doubled for each further one and scattered by half.
const BACKOFF: Duration = Duration::from_millis(250);
/// For the connection, within the deadline.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that nobody used for so long are closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A request that gave nothing.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    /// What the caller is told.
    pub(super) error: SourceError,
    /// The query may be to blame: of several that were joined, the others may still be answered.
    pub(super) query_suspect: bool,
}

/// Something to try again: what to report if it stays so, and how long the server wants us to wait.
struct Again(Trouble, Option<Duration>);

pub(super) struct Http {
    client: reqwest::Client,
    options: SourceOptions,
    endpoint: Url,
    permits: Semaphore,
    jitter: Mutex<Rng>,
}

impl Http {
    pub(super) fn new(options: SourceOptions, seed: u64) -> Result<Self, Vec<Problem>> {
        let problems = options.check();
        if !problems.is_empty() {
            return Err(problems);
        }
        let build = || -> Result<(reqwest::Client, Url), Problem> {
            let mut client = reqwest::Client::builder()
                .default_headers(options.header_map()?)
                .user_agent(concat!("forescale/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT_TIMEOUT.min(options.deadline))
                .pool_idle_timeout(IDLE_TIMEOUT)
                .no_proxy();
            let endpoint = options.endpoint("query_range")?;
            if endpoint.scheme() == "http" {
                // no certificates are needed, and a small image may have none
                client = client.tls_certs_only([]);
            } else if let Some(certificates) = options.ca_certificates()? {
                client = client.tls_certs_merge(certificates);
            }
            let client = client.build().map_err(|e| {
                Problem::new("TLS", "certificates that the machine trusts, or a CA file", chain(&e.without_url()))
            })?;
            Ok((client, endpoint))
        };
        let (client, endpoint) = build().map_err(|p| vec![p])?;
        let permits = Semaphore::new(options.concurrency.min(Semaphore::MAX_PERMITS));
        Ok(Http { client, endpoint, permits, jitter: Mutex::new(rng::stream(seed, "retry jitter")), options })
    }

    pub(super) fn deadline(&self) -> Duration {
        self.options.deadline
    }

    /// Sends the form and gives the body of a good answer.
    pub(super) async fn post(&self, form: &[(&str, &str)]) -> Result<Vec<u8>, Trouble> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let Again(trouble, asked) = match self.attempt(form).await? {
                Ok(body) => return Ok(body),
                Err(again) => again,
            };
            let wait = asked.unwrap_or_default().max(self.backoff(attempt));
            if attempt >= MAX_ATTEMPTS || wait > self.options.deadline {
                return Err(trouble);
            }
            tokio::time::sleep(wait).await;
        }
    }

    fn backoff(&self, attempt: u32) -> Duration {
        let full = BACKOFF * 2u32.saturating_pow(attempt - 1);
        let draw = self.jitter.lock().unwrap_or_else(PoisonError::into_inner).next_u32();
        full.mul_f64(0.5 + f64::from(draw) / f64::from(u32::MAX))
    }

    async fn attempt(&self, form: &[(&str, &str)]) -> Result<Result<Vec<u8>, Again>, Trouble> {
        let Ok(_permit) = self.permits.acquire().await else {
            return Err(self.unavailable("an open source", "a closed one", "", false));
        };
        let mut credentials = self
            .options
            .credentials()
            .map_err(|p| Trouble { error: SourceError::Unavailable(p), query_suspect: false })?;
        let exchange = self.exchange(form, &mut credentials);
        match tokio::time::timeout(self.options.deadline, exchange).await {
            Ok(result) => result,
            Err(_) => {
                let expected = format!("an answer within {}", crate::units::duration::format(self.options.deadline));
                let help = "is the server overloaded, or the query too dear? a recording rule makes it cheap";
                Err(self.unavailable(&expected, "none, or one that did not end", help, true))
            }
        }
    }

    async fn exchange(&self, form: &[(&str, &str)], auth: &mut Credentials) -> Result<Result<Vec<u8>, Again>, Trouble> {
        let request = auth.apply(self.client.post(self.endpoint.clone()).form(form));
        let sent = match request {
            Ok(request) => self.client.execute(request).await,
            Err(error) => Err(error),
        };
        let response = match sent {
            Ok(response) => response,
            Err(e) => {
                let connect = e.is_connect();
                let found = auth.redact(&chain(&e.without_url()));
                let help = "is the server there, and does a network policy let us reach it?";
                let trouble = self.unavailable("an answer", &found, help, false);
                return if connect { Ok(Err(Again(trouble, None))) } else { Err(trouble) };
            }
        };
        let status = response.status();
        if !status.is_success() {
            return self.refusal(response, auth).await;
        }
        if let Some(encoding) = response.headers().get(CONTENT_ENCODING).filter(|e| *e != "identity") {
            return Err(self.malformed("an answer that is not compressed", &format!("{encoding:?}"), ""));
        }
        self.body(response).await.map(Ok)
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Trouble> {
        let too_long = |found: &str| {
            let help = "use a coarser step, or a query that gives fewer series";
            let mut trouble = self.malformed(&format!("an answer of at most {MAX_ANSWER_BYTES} bytes"), found, help);
            trouble.query_suspect = true;
            trouble
        };
        if let Some(length) = response.content_length().filter(|l| *l > MAX_ANSWER_BYTES as u64) {
            return Err(too_long(&format!("{length} bytes")));
        }
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > MAX_ANSWER_BYTES => return Err(too_long("more")),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(body),
                Err(e) => {
                    let found = format!("one cut off after {} bytes: {}", body.len(), chain(&e.without_url()));
                    return Err(self.unavailable("a whole answer", &found, "", false));
                }
            }
        }
    }

    /// What an answer with another status than 2xx means.
    async fn refusal(&self, mut response: Response, auth: &Credentials) -> Result<Result<Vec<u8>, Again>, Trouble> {
        let status = response.status();
        let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let wait = header(RETRY_AFTER).and_then(|v| v.trim().parse().ok()).map(Duration::from_secs);
        let location = header(LOCATION);
        let mut body = Vec::new();
        while body.len() < MAX_ERROR_BYTES {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) | Err(_) => break,
            }
        }
        body.truncate(MAX_ERROR_BYTES);
        let api_error = super::answer::parse_error(&body);
        let said = match &api_error {
            Some((kind, text)) => format!("{kind}: {text}"),
            None => String::from_utf8_lossy(&body).into_owned(),
        };
        let found = auth.redact(&format!("{status}: {}", shorten(said.trim())));
        let good = "an answer with status 200";
        match status {
            s if s.is_redirection() => {
                let to = location.map(|l| self.redirect_target(&l)).unwrap_or_default();
                let help = "redirects are not followed: name the final URL in the config, if it is the right one";
                Err(self.refused(good, &auth.redact(&format!("{status} to {to}")), help, false))
            }
            StatusCode::UNAUTHORIZED => Err(self.refused(
                good,
                &found,
                "name a bearer token file, or a user and password file; is it expired?",
                false,
            )),
            StatusCode::FORBIDDEN => {
                Err(self.refused(good, &found, "these credentials or this tenant may not read from it", false))
            }
            StatusCode::NOT_FOUND => {
                let help =
                    "is the path prefix right? Mimir: /prometheus, VictoriaMetrics cluster: /select/0/prometheus";
                Err(self.refused("the Prometheus HTTP API", &found, help, false))
            }
            StatusCode::BAD_REQUEST
            | StatusCode::UNPROCESSABLE_ENTITY
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::URI_TOO_LONG => {
                Err(self.refused("a query that the source accepts", &found, "try it in the source's own page", true))
            }
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                // Prometheus says 503 when a query takes too long: asking again makes it worse
                let dear = api_error.is_some_and(|(kind, _)| kind == "timeout" || kind == "canceled");
                let trouble = self.unavailable(good, &found, "it is overloaded or not ready", dear);
                if dear { Err(trouble) } else { Ok(Err(Again(trouble, wait))) }
            }
            s if s.is_server_error() => Err(self.unavailable(good, &found, "see the server's log", true)),
            _ => Err(self.refused(good, &found, "is it the URL of a Prometheus HTTP API?", false)),
        }
    }

    /// Scheme, host and path of where a redirect points: a query may hold a session.
    fn redirect_target(&self, location: &str) -> String {
        let Ok(mut url) = self.endpoint.join(location) else { return "an unreadable place".into() };
        url.set_query(None);
        url.set_fragment(None);
        let bare = url.set_username("").and_then(|()| url.set_password(None));
        if bare.is_ok() { shorten(url.as_str()) } else { "an unreadable place".into() }
    }

    fn problem(&self, expected: &str, found: &str, help: &str) -> Problem {
        Problem::new(self.endpoint.as_str(), expected, found).help(help)
    }

    pub(super) fn unavailable(&self, expected: &str, found: &str, help: &str, query_suspect: bool) -> Trouble {
        Trouble { error: SourceError::Unavailable(self.problem(expected, found, help)), query_suspect }
    }

    pub(super) fn refused(&self, expected: &str, found: &str, help: &str, query_suspect: bool) -> Trouble {
        Trouble { error: SourceError::Refused(self.problem(expected, found, help)), query_suspect }
    }

    pub(super) fn malformed(&self, expected: &str, found: &str, help: &str) -> Trouble {
        Trouble { error: SourceError::Malformed(self.problem(expected, found, help)), query_suspect: false }
    }
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    /// Causes that are followed at most.
    const MAX_CAUSES: usize = 8;
    let causes = std::iter::successors(error.source(), |e| e.source()).take(MAX_CAUSES);
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
