//! What a container scales by `kubectl scale`, as far as its command says it in plain words.

use super::flow::Flow;
use crate::units::{MAX_REPLICAS, Replicas};

/// One workload that is scaled.
#[derive(Debug, PartialEq)]
pub(super) struct Scale {
    pub kind: &'static str,
    pub name: String,
    pub namespace: Option<String>,
    pub replicas: Replicas,
    /// Whether it is scaled at every run, and at once.
    pub certain: bool,
    /// The command.
    pub call: String,
}

/// What the containers of a pod scale.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Calls {
    /// In the order of the commands.
    pub scales: Vec<Scale>,
    /// Commands that run `kubectl scale` in a way that is not understood.
    pub unclear: Vec<String>,
    /// Other commands that speak of scaling.
    pub others: Vec<String>,
}

/// Options of kubectl whose value may be a word of its own.
const VALUED: [&str; 23] = [
    "--as",
    "--as-group",
    "--as-uid",
    "--cache-dir",
    "--certificate-authority",
    "--client-certificate",
    "--client-key",
    "--cluster",
    "--context",
    "--kubeconfig",
    "--namespace",
    "--output",
    "--replicas",
    "--request-timeout",
    "--resource-version",
    "--server",
    "--timeout",
    "--tls-server-name",
    "--token",
    "--user",
    "-n",
    "-o",
    "-s",
];

/// Options that make a call something else than a number for the workloads it names.
const OTHERWISE: [&str; 9] =
    ["--all", "--current-replicas", "--dry-run", "--filename", "--kustomize", "--selector", "-f", "-k", "-l"];

/// What may stand between two commands.
const SEPARATORS: [char; 7] = [';', '&', '|', '(', ')', '`', '\n'];

impl Calls {
    /// Reads one container. Without a command of its own, an image of kubectl runs kubectl.
    pub(super) fn read(&mut self, image: &str, command: &[&str], args: &[&str]) {
        let bare = command.is_empty() && (args.first() == Some(&"scale") || image.contains("kubectl"));
        let words = [command, args].concat();
        let script = if bare { format!("kubectl {}", words.join(" ")) } else { of_shell(&words).join(" ") };
        // the & of a redirection joins no commands
        let script = script.replace("\\\n", " ").replace(">&", ">").replace("&>", ">");
        let lines = script.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
        let lines: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        // a line that ends so goes on in the next
        let code = lines.join("\n").replace("&&\n", "&&").replace("||\n", "||");
        let (mut flow, mut operators) = (Flow::default(), String::new());
        for part in code.split_inclusive(SEPARATORS) {
            let command = part.strip_suffix(SEPARATORS).unwrap_or(part);
            if !command.trim().is_empty() {
                flow.join(&operators);
                operators.clear();
                self.command(command, &mut flow);
            }
            operators.push_str(part.get(command.len()..).unwrap_or_default());
        }
    }

    /// Whether nothing speaks of scaling.
    pub(super) fn is_empty(&self) -> bool {
        self.scales.is_empty() && self.unclear.is_empty() && self.others.is_empty()
    }

    fn command(&mut self, command: &str, flow: &mut Flow) {
        let words: Vec<String> =
            command.split_whitespace().map(|w| w.replace(['"', '\''], "")).filter(|w| !w.is_empty()).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let words = flow.enter(&words);
        let kubectl = words.iter().position(|word| is_kubectl(word)).and_then(|at| words.get(at..));
        match kubectl {
            Some(call) if call.contains(&"scale") => match scale(call, flow.scale()) {
                Some(scales) => self.scales.extend(scales),
                None => self.unclear.push(call.join(" ")),
            },
            Some(_) => {}
            None => {
                let part = |word: &&str| word.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part == "scale");
                if words.iter().any(part) {
                    self.others.push(command.trim().into());
                }
            }
        }
    }
}

fn is_kubectl(word: &str) -> bool {
    matches!(word.rsplit('/').next(), Some("kubectl" | "oc"))
}

/// The script of `sh -c SCRIPT`; of other words, all.
fn of_shell<'w, 's>(words: &'w [&'s str]) -> &'w [&'s str] {
    let shell = |word: &&str| matches!(word.rsplit('/').next(), Some("sh" | "ash" | "bash" | "dash" | "zsh"));
    let at = words.iter().take_while(|word| !is_kubectl(word)).position(shell);
    let Some(rest) = at.and_then(|at| words.get(at + 1..)) else { return words };
    let mut options = rest.iter().take_while(|word| word.starts_with('-') || **word == "pipefail");
    let at = options.position(|word| !word.starts_with("--") && word.ends_with('c'));
    at.and_then(|at| rest.get(at + 1..)).unwrap_or(words)
}

/// The workloads of `kubectl [options] scale KIND/NAME… --replicas=N`. None: it says something else, or not in plain words.
fn scale(words: &[&str], certain: bool) -> Option<Vec<Scale>> {
    let (mut named, mut replicas, mut namespace) = (Vec::new(), None, None);
    let mut rest = words.iter().copied().skip(1);
    while let Some(word) = rest.next() {
        if word.contains(['>', '<']) {
            // a redirection, whose file may be a word of its own
            if word.ends_with(['>', '<']) {
                rest.next();
            }
            continue;
        }
        if !word.starts_with('-') {
            named.push(word);
            continue;
        }
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option, Some(value)),
            None if VALUED.contains(&word) => (word, rest.next()),
            None => (word, None),
        };
        match option {
            "--replicas" => replicas = value?.parse().ok().filter(|n| *n <= MAX_REPLICAS),
            "-n" | "--namespace" => namespace = Some(plain(value?)?),
            _ if OTHERWISE.contains(&option) => return None,
            _ if option.starts_with("-n") => namespace = Some(plain(option.get(2..)?)?),
            _ => {}
        }
    }
    let replicas = replicas?;
    let (_, targets) = named.split_first().filter(|(verb, _)| **verb == "scale")?;
    let (first, others) = targets.split_first()?;
    let pairs: Vec<(&str, &str)> = match first.contains('/') {
        true => targets.iter().map(|target| target.split_once('/')).collect::<Option<_>>()?,
        false => others.iter().map(|name| (*first, *name)).collect(),
    };
    let one = |(kind, name)| {
        let (kind, name) = (kind_of(kind)?, plain(name)?);
        Some(Scale { kind, name, namespace: namespace.clone(), replicas, certain, call: words.join(" ") })
    };
    let scales: Vec<Scale> = pairs.into_iter().map(one).collect::<Option<_>>()?;
    (!scales.is_empty()).then_some(scales)
}

/// A name as it stands, without variables and the like.
fn plain(name: &str) -> Option<String> {
    let is = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
    is.then(|| name.to_owned())
}

fn kind_of(word: &str) -> Option<&'static str> {
    match word.split('.').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "deployment" | "deployments" | "deploy" => Some("Deployment"),
        "statefulset" | "statefulsets" | "sts" => Some("StatefulSet"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(image: &str, command: &[&str], args: &[&str]) -> Calls {
        let mut calls = Calls::default();
        calls.read(image, command, args);
        calls
    }

    /// Kind, namespace, name and number of each, as one text.
    fn scaled(script: &str) -> String {
        let calls = calls("k", &["sh", "-c", script], &[]);
        assert_eq!((calls.unclear, calls.others), (Vec::new(), Vec::new()), "{script}");
        let one = |s: &Scale| format!("{} {}/{}={}", s.kind, s.namespace.as_deref().unwrap_or("-"), s.name, s.replicas);
        calls.scales.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn every_call_and_every_workload_of_it() {
        for (script, expected) in [
            (
                "kubectl scale deploy web --replicas=8; kubectl scale sts db --replicas=4",
                "Deployment -/web=8, StatefulSet -/db=4",
            ),
            ("kubectl scale deploy web api --replicas=2", "Deployment -/web=2, Deployment -/api=2"),
            ("kubectl scale --replicas 2 deployment/web sts/db", "Deployment -/web=2, StatefulSet -/db=2"),
            (
                "set -e\nkubectl -n shop scale \\\n  --replicas='3' \"deploy/web\" >/dev/null 2>&1",
                "Deployment shop/web=3",
            ),
            ("kubectl scale deploy/web --replicas=3 > log -nshop && echo done", "Deployment shop/web=3"),
            (
                "/usr/bin/kubectl --context a scale deployment.apps/web --replicas=0 --timeout 5m # scale",
                "Deployment -/web=0",
            ),
            ("oc scale deploy/web --replicas=1 || true", "Deployment -/web=1"),
            ("# kubectl scale deploy/web --replicas=1", ""),
            ("kubectl rollout restart deploy/scale-out", ""),
        ] {
            assert_eq!(scaled(script), expected, "{script}");
        }
    }

    #[test]
    fn an_image_of_kubectl_needs_no_command() {
        let args = ["scale", "--replicas=8", "deployment/web"];
        for image in ["bitnami/kubectl", "a"] {
            assert_eq!(calls(image, &[], &args).scales.len(), 1, "{image}");
        }
        assert_eq!(calls("bitnami/kubectl", &[], &["-n", "shop", "scale", "sts/a", "--replicas=1"]).scales.len(), 1);
        assert!(calls("a", &["backup"], &args).scales.is_empty());
    }

    #[test]
    fn what_is_not_understood_is_kept() {
        for command in [
            "kubectl scale deploy web --replicas=$N",
            "kubectl scale deploy $d --replicas=2",
            "kubectl scale deploy --replicas=2",
            "kubectl scale deploy/web",
            "kubectl scale deploy -l app=web --replicas=2",
            "kubectl scale --replicas=2 -f web.yaml",
            "kubectl scale rollout/web --replicas=2",
            "kubectl scale deploy/web api --replicas=2",
            "kubectl --odd value scale deploy/web --replicas=2",
            "kubectl scale deploy/web --replicas=200000",
        ] {
            let found = calls("k", &["sh", "-c"], &[&format!("true; {command}; true")]);
            assert_eq!((found.scales, found.unclear), (Vec::new(), vec![command.to_owned()]));
        }
        assert_eq!(calls("k", &["/opt/scale.sh"], &["web"]).others, ["/opt/scale.sh web"]);
        assert!(calls("k", &["python", "upscale.py"], &[]).is_empty());
    }
}
