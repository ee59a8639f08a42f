//! One Prometheus source: where it is and how it is spoken to.

use crate::config::PrometheusConfig;
use crate::error::Problem;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes of a file with a credential or a certificate that are read at most.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Characters from which on a header's value is taken out of messages.
const MIN_SECRET_CHARS: usize = 8;

/// One source, as the config gives it. Credentials are files, so that they can be rotated: they are read for every
/// request.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceOptions {
    /// Where the API is, without `/api/v1`: `http://prometheus:9090`, or with the path prefix that Mimir
    /// (`/prometheus`), VictoriaMetrics (`/select/0/prometheus`) or a proxy wants. No user, password or query in it.
    pub url: String,
    /// Who we are.
    pub auth: Auth,
    /// Sent with every request: `X-Scope-OrgID` for a tenant of Mimir, for example. Names and values.
    pub headers: BTreeMap<String, String>,
    /// PEM certificates to trust besides the machine's.
    pub ca_file: Option<PathBuf>,
    /// For one request, answer included.
    pub deadline: Duration,
    /// Requests under way at the same time, at least 1.
    pub concurrency: usize,
}

/// How a source knows us.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Auth {
    /// It does not.
    #[default]
    None,
    /// `Authorization: Bearer` with the file's content.
    BearerTokenFile(PathBuf),
    /// HTTP basic authentication.
    Basic {
        /// The user's name; no colon in it.
        user: String,
        /// A file with the password.
        password_file: PathBuf,
    },
}

impl SourceOptions {
    /// The usual deadline of one request.
    pub const DEADLINE: Duration = Duration::from_secs(30);
    /// The usual number of requests at the same time.
    pub const CONCURRENCY: usize = 4;

    /// A source without authentication, at the usual limits.
    pub fn new(url: impl Into<String>) -> Self {
        SourceOptions {
            url: url.into(),
            auth: Auth::None,
            headers: BTreeMap::new(),
            ca_file: None,
            deadline: Self::DEADLINE,
            concurrency: Self::CONCURRENCY,
        }
    }

    /// The options of a source in the config.
    pub fn of(config: &PrometheusConfig, timeout: Duration) -> Self {
        let auth = match (&config.bearer_token_file, &config.basic_auth) {
            (Some(file), _) => Auth::BearerTokenFile(file.clone()),
            (None, Some(basic)) => Auth::Basic { user: basic.user.clone(), password_file: basic.password_file.clone() },
            (None, None) => Auth::None,
        };
        SourceOptions {
            auth,
            headers: config.headers.clone(),
            ca_file: config.ca_file.clone(),
            deadline: timeout,
            ..Self::new(&config.url)
        }
    }

    /// The URL of one call of the API, checked. `call`: `query_range` and the like.
    pub(super) fn endpoint(&self, call: &str) -> Result<reqwest::Url, Problem> {
        let expected = "a URL such as http://prometheus:9090, with the API's path prefix if it has one";
        let mut url = reqwest::Url::parse(&self.url).map_err(|e| {
            // an unreadable URL may still hold a password, so it isn't repeated
            Problem::new("url", expected, format!("text that is none: {e}"))
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Problem::new("url", expected, "one with a user or password in it")
                .help("give the user apart and the password in a file"));
        }
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(Problem::new("url", expected, format!("{url}")));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Problem::new("url", expected, "one with ? or # in it").help("send parameters as headers"));
        }
        let path = format!("{}/api/v1/{call}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Ok(url)
    }

    /// All that is wrong with the options; files are read.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        problems.extend(self.endpoint("query_range").err());
        problems.extend(self.header_map().err());
        problems.extend(self.credentials().err());
        problems.extend(self.ca_certificates().err());
        if self.deadline.is_zero() {
            problems.push(Problem::new("deadline", "a positive duration", "0s"));
        }
        if self.concurrency == 0 {
            problems.push(Problem::new("concurrency", "at least 1", "0"));
        }
        problems
    }

    pub(super) fn header_map(&self) -> Result<HeaderMap, Problem> {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let at = || format!("header {}", crate::error::shorten(name));
            let key = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| Problem::new(at(), "a header's name", format!("{name:?}")))?;
            let mut value = HeaderValue::from_str(value)
                .map_err(|_| Problem::new(at(), "a value of printable characters", "others"))?;
            value.set_sensitive(true);
            map.insert(key, value);
        }
        Ok(map)
    }

    /// The certificates of `ca_file`; None: the machine's are to be used.
    pub(super) fn ca_certificates(&self) -> Result<Option<Vec<reqwest::Certificate>>, Problem> {
        let Some(path) = &self.ca_file else { return Ok(None) };
        let expected = "a file of PEM certificates";
        let pem = read(path, expected)?;
        let certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes())
            .map_err(|e| Problem::new(path.display().to_string(), expected, e.to_string()))?;
        if certificates.is_empty() {
            return Err(Problem::new(path.display().to_string(), expected, "none in it"));
        }
        Ok(Some(certificates))
    }

    /// The credentials as the files hold them now.
    pub(super) fn credentials(&self) -> Result<Credentials, Problem> {
        let mut secrets: Vec<String> =
            self.headers.values().filter(|v| v.chars().count() >= MIN_SECRET_CHARS).cloned().collect();
        let login = match &self.auth {
            Auth::None => Login::None,
            Auth::BearerTokenFile(path) => {
                let token = secret(path, "a file with a bearer token")?;
                secrets.push(token.clone());
                Login::Bearer(token)
            }
            Auth::Basic { user, password_file } => {
                if user.is_empty() || user.contains(':') {
                    return Err(Problem::new("user", "a name without colon", "none or one with a colon"));
                }
                let password = secret(password_file, "a file with a password")?;
                secrets.push(password.clone());
                Login::Basic(user.clone(), password)
            }
        };
        Ok(Credentials { login, secrets })
    }
}

/// Header values may be credentials: only the names are shown.
impl fmt::Debug for SourceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceOptions")
            .field("url", &self.endpoint("").map(|u| u.to_string()).unwrap_or_else(|_| "(not a good one)".into()))
            .field("auth", &self.auth)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("ca_file", &self.ca_file)
            .field("deadline", &self.deadline)
            .field("concurrency", &self.concurrency)
            .finish()
    }
}

enum Login {
    None,
    Bearer(String),
    Basic(String, String),
}

/// Credentials in memory for the time of one request.
pub(super) struct Credentials {
    login: Login,
    secrets: Vec<String>,
}

impl Credentials {
    /// The request with them; what they look like on the wire is a secret too.
    pub(super) fn apply(&mut self, request: reqwest::RequestBuilder) -> reqwest::Result<reqwest::Request> {
        let request = match &self.login {
            Login::None => request,
            Login::Bearer(token) => request.bearer_auth(token),
            Login::Basic(user, password) => request.basic_auth(user, Some(password)),
        };
        let request = request.build()?;
        let header = request.headers().get(AUTHORIZATION).and_then(|v| v.to_str().ok());
        self.secrets.extend(header.and_then(|v| v.split_once(' ')).map(|(_, secret)| secret.to_owned()));
        Ok(request)
    }

    /// The text without any of the credentials: servers repeat what they were sent.
    pub(super) fn redact(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
    }
}

fn secret(path: &Path, expected: &str) -> Result<String, Problem> {
    let text = read(path, expected)?;
    let text = text.trim();
    let at = || path.display().to_string();
    if text.is_empty() {
        return Err(Problem::new(at(), expected, "an empty file"));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::new(at(), expected, "control characters or several lines"));
    }
    Ok(text.to_owned())
}

fn read(path: &Path, expected: &str) -> Result<String, Problem> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text))
        .map_err(|e| Problem::new(path.display().to_string(), expected, e.to_string()))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_keeps_a_path_prefix() {
        for (url, endpoint) in [
            ("http://p:9090", "http://p:9090/api/v1/query_range"),
            ("http://p:9090/", "http://p:9090/api/v1/query_range"),
            ("https://m/prometheus", "https://m/prometheus/api/v1/query_range"),
            ("https://vm/select/0/prometheus/", "https://vm/select/0/prometheus/api/v1/query_range"),
        ] {
            assert_eq!(SourceOptions::new(url).endpoint("query_range").unwrap().as_str(), endpoint);
        }
    }

    #[test]
    fn all_mistakes_are_told_at_once_and_no_secret_with_them() {
        let mut options = SourceOptions::new("http://me:hunter2hunter2@p:9090");
        options.headers.insert("X Scope".into(), "secret-tenant".into());
        options.auth = Auth::BearerTokenFile("no/such/file".into());
        options.ca_file = Some("Cargo.toml".into());
        options.deadline = Duration::ZERO;
        options.concurrency = 0;
        let problems: Vec<String> = options.check().iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 6, "{problems:#?}");
        let all = format!("{problems:?} {options:?}");
        assert!(!all.contains("hunter2") && !all.contains("secret-tenant"), "{all}");
        assert!(all.contains("no/such/file"), "{all}");
        for url in ["ftp://p", "p:9090", "http://p/?token=abcdefgh", ""] {
            let told = SourceOptions::new(url).endpoint("x").unwrap_err().to_string();
            assert!(told.contains("expected a URL such as") && !told.contains("abcdefgh"), "{told}");
        }
    }
}
