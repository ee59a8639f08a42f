//! What each way to fail means, and what the user is to do. None of them is ever a number.

use super::known::REGIONS;
use crate::error::Problem;
use crate::history::SourceError;
use aws_sdk_cloudwatch::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatch::operation::get_metric_data::GetMetricDataError;
use aws_sdk_cloudwatch::types::StatusCode;

/// Where a source is, for errors.
#[derive(Debug, Clone)]
pub struct Place {
    /// The source's name in the config.
    pub source: String,
    /// Its region.
    pub region: String,
    /// The endpoint in place of the region's own.
    pub endpoint_url: Option<String>,
}

impl Place {
    /// As errors name it.
    pub fn at(&self) -> String {
        match &self.endpoint_url {
            Some(url) => format!("source {}: CloudWatch in {} at {url}", self.source, self.region),
            None => format!("source {}: CloudWatch in {}", self.source, self.region),
        }
    }

    /// A problem here.
    pub fn problem(&self, expected: &str, found: &str, help: &str) -> Problem {
        Problem::new(self.at(), expected, found).help(help)
    }
}

/// A call that failed.
#[derive(Debug, Clone)]
pub enum Fault {
    /// All queries of the call share it.
    Source(SourceError),
    /// At least one query of the call is wrong; which one is found by asking for fewer.
    Query(Problem),
    /// The token of the next page isn't valid any more: begin again.
    Token(Problem),
}

/// A region that is a slip of one that exists.
pub fn region(name: &str, at: &str) -> Result<(), Problem> {
    if REGIONS.contains(&name) {
        return Ok(());
    }
    let letters = |region: &str| region.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    let nearest = REGIONS.iter().map(|r| (strsim::damerau_levenshtein(r, name), *r)).min();
    match nearest {
        // A region that is newer than this program differs in its number, or has a form of its own.
        Some((_, near)) if letters(near) == letters(name) => Ok(()),
        Some((distance, near)) if distance <= 2 => {
            Err(Problem::new(at, "an AWS region such as eu-west-1", name).help(format!("did you mean {near}?")))
        }
        _ if name.split('-').count() >= 3 => Ok(()),
        _ => Err(Problem::new(at, "an AWS region such as eu-west-1", name)),
    }
}

/// What an error of the call means.
pub fn fault(error: &SdkError<GetMetricDataError>, place: &Place) -> Fault {
    let chain = DisplayErrorContext(error).to_string();
    let unavailable = |expected: &str, found: &str, help: &str| {
        Fault::Source(SourceError::Unavailable(place.problem(expected, found, help)))
    };
    let refused = |expected: &str, found: &str, help: &str| {
        Fault::Source(SourceError::Refused(place.problem(expected, found, help)))
    };
    match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            if status < 400 {
                return not_the_protocol(&chain, place);
            }
            coded(error.code().unwrap_or_default(), error.message().unwrap_or_default(), status, place)
        }
        SdkError::TimeoutError(_) => unavailable(
            "an answer in time",
            "none",
            "it is asked again; if that stays, raise the source's timeout or look at the way to its endpoint",
        ),
        SdkError::ResponseError(_) => not_the_protocol(&chain, place),
        _ if chain.to_ascii_lowercase().contains("credential") => credentials(&chain, place),
        SdkError::ConstructionFailure(_) => {
            refused("a request that can be made", &chain, "check region and endpoint_url")
        }
        _ => unavailable(
            "an answer",
            &chain,
            "it is asked again; check that region and endpoint_url exist and that the pod may reach them",
        ),
    }
}

fn not_the_protocol(chain: &str, place: &Place) -> Fault {
    Fault::Source(SourceError::Malformed(place.problem(
        "an answer of GetMetricData in CBOR",
        chain,
        "is there a proxy, or something that is not CloudWatch, at the endpoint?",
    )))
}

/// No credentials, or none that can be used.
fn credentials(chain: &str, place: &Place) -> Fault {
    let found =
        if chain.contains("AssumeRole") { format!("the role was not given: {chain}") } else { chain.to_owned() };
    Fault::Source(SourceError::Unavailable(place.problem(
        "AWS credentials from the environment, IRSA, Pod Identity, a profile or the instance, and role_arn if set",
        &found,
        "annotate the service account with eks.amazonaws.com/role-arn or make a Pod Identity association; \
         docs/cloudwatch.md has the policy that the role needs",
    )))
}

/// What an error code of the service means.
fn coded(code: &str, message: &str, status: u16, place: &Place) -> Fault {
    let found = if message.is_empty() { format!("{code} (HTTP {status})") } else { format!("{code}: {message}") };
    let unavailable =
        |expected: &str, help: &str| Fault::Source(SourceError::Unavailable(place.problem(expected, &found, help)));
    let refused =
        |expected: &str, help: &str| Fault::Source(SourceError::Refused(place.problem(expected, &found, help)));
    match code {
        "InvalidNextToken" => Fault::Token(place.problem("the next page", &found, "it is asked again from the first")),
        "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "LimitExceeded"
        | "LimitExceededException"
        | "TooManyRequestsException" => unavailable(
            "fewer requests than the account's quota",
            "it is asked again at the next step; if that stays, other programs use the quota of GetMetricData: raise \
             it in Service Quotas, or ask with a longer step",
        ),
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => unavailable(
            "credentials that are valid now",
            "renew them (aws sso login, a new session token); IRSA and Pod Identity renew by themselves, so then \
             check the clock of the node",
        ),
        "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidAccessKeyId"
        | "AuthFailure"
        | "OptInRequired" => refused(
            "credentials that this region knows",
            "check the access key, and that the region is enabled for the account; keys of another partition \
             (aws, aws-cn, aws-us-gov) are not known here",
        ),
        "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException" => refused(
            "a signature that fits",
            "check the secret key, the clock of the node, and that region is the region of endpoint_url",
        ),
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "NotAuthorized"
        | "OperationNotPermitted" => refused(
            "permission for cloudwatch:GetMetricData",
            "allow it to the role; docs/cloudwatch.md has the policy",
        ),
        "ValidationError"
        | "ValidationException"
        | "InvalidParameterValue"
        | "InvalidParameterValueException"
        | "InvalidParameterCombination"
        | "InvalidParameterCombinationException"
        | "MissingParameter"
        | "MissingRequiredParameterException"
        | "InvalidFormatFault" => Fault::Query(place.problem(
            "a query that CloudWatch accepts",
            &found,
            "put the metric spec right; docs/cloudwatch.md has the language",
        )),
        _ if status >= 500 => unavailable("an answer", "it is asked again; see the AWS health dashboard if it stays"),
        _ => refused("an answer of GetMetricData", "the error is CloudWatch's own; its message says what it wants"),
    }
}

/// What a result that isn't Complete means. None: it is complete. `Err(None)`: part of it, so ask for less at once.
pub fn status(code: Option<&StatusCode>, messages: &str, place: &Place) -> Result<(), Option<SourceError>> {
    let found = |what: &str| if messages.is_empty() { what.to_owned() } else { format!("{what}: {messages}") };
    match code {
        Some(StatusCode::Complete) => Ok(()),
        Some(StatusCode::PartialData) => Err(None),
        Some(StatusCode::InternalError) => Err(Some(SourceError::Unavailable(place.problem(
            "the metric's data",
            &found("InternalError"),
            "it is asked again at the next step; see the AWS health dashboard if it stays",
        )))),
        Some(StatusCode::Forbidden) => Err(Some(SourceError::Refused(place.problem(
            "permission to read this metric",
            &found("Forbidden"),
            "allow cloudwatch:GetMetricData to the role (docs/cloudwatch.md); for a metric of another account, role_arn \
             has to be a role of that account",
        )))),
        other => Err(Some(SourceError::Malformed(place.problem(
            "StatusCode Complete, PartialData, InternalError or Forbidden",
            other.map_or("none", StatusCode::as_str),
            "",
        )))),
    }
}

/// Part of the data, however little is asked for.
pub fn still_partial(place: &Place) -> SourceError {
    SourceError::Unavailable(place.problem(
        "all datapoints of the time asked for",
        "PartialData without a next page, and again for shorter times",
        "it is asked again at the next step; nothing is made of the part that came, as a sum over parts is too small",
    ))
}

/// The cap of the meter.
pub fn capped(max_per_hour: u64, place: &Place) -> SourceError {
    SourceError::Unavailable(place.problem(
        &format!("at most max_metrics_per_hour = {max_per_hour} metrics in an hour"),
        "more are due",
        "until the hour has room the data grow stale, and decisions hold; raise the cap in the config, ask for fewer \
         metrics or take a longer step",
    ))
}

/// Said of a result without datapoints: it is no zero.
pub fn empty(spec_text: &str, place: &Place) -> String {
    format!(
        "{}: no datapoint for {}: nothing is known, which is not zero; check the names and values in the spec and that \
         the metric is in {} (a metric that is only reported when something happens needs FILL(m, 0) to say zero)",
        place.at(),
        crate::error::shorten(spec_text),
        place.region
    )
}
