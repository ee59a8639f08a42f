//! Whether a command of a shell script runs at every run of the script, and at once, as far as its words say it.

/// Commands that are joined by `&&` and `||`.
#[derive(Debug, Clone, Copy, Default)]
struct List {
    /// One of them only asks whether something is so.
    tested: bool,
    /// What follows may be passed over.
    maybe: bool,
}

/// What runs for some values only, or several times.
const BRANCH: List = List { tested: true, maybe: true };

/// What came before the command that is read.
#[derive(Debug, Default)]
pub(super) struct Flow {
    list: List,
    /// The blocks that are open: what ends each, and the list in which it stands.
    blocks: Vec<(&'static str, List)>,
    /// The script may have ended.
    left: bool,
    /// Something was scaled.
    scaled: bool,
    /// It slept after that.
    slept: bool,
}

impl Flow {
    /// Takes the operators between two commands.
    pub(super) fn join(&mut self, operators: &str) {
        // one character each
        for operator in operators.replace("&&", "+").replace("||", "-").chars() {
            match operator {
                '+' => self.list.maybe |= self.list.tested,
                '-' => self.list.maybe = true,
                '(' => self.open(")", self.list),
                ')' => self.close(")"),
                ';' | '&' | '\n' => self.list = List::default(),
                _ => {}
            }
        }
    }

    /// Takes the words of a command, and gives those that follow what opens and ends blocks.
    pub(super) fn enter<'w, 's>(&mut self, mut words: &'w [&'s str]) -> &'w [&'s str] {
        while let Some((first, rest)) = words.split_first() {
            match *first {
                "if" => self.open("fi", BRANCH),
                "case" => self.open("esac", BRANCH),
                "for" | "while" | "until" => self.open("done", BRANCH),
                "{" => self.open("}", self.list),
                "then" | "elif" | "else" | "do" => self.list.maybe = true,
                "fi" | "esac" | "done" | "}" => self.close(first),
                "!" => {}
                _ => break,
            }
            words = rest;
        }
        match words.first().and_then(|word| word.rsplit('/').next()) {
            Some("[" | "[[" | "test" | "grep") => self.list.tested = true,
            Some("sleep") => self.slept |= self.scaled,
            // after a command that failed it is no condition: `kubectl … || exit 1`
            Some("exit" | "return") => self.left |= self.list.tested || self.blocks.iter().any(|(_, list)| list.tested),
            _ => {}
        }
        words
    }

    /// Takes a command that scales. Whether it does so at every run, and at once.
    pub(super) fn scale(&mut self) -> bool {
        self.scaled = true;
        let maybe = self.list.maybe || self.blocks.iter().any(|(_, list)| list.maybe);
        !maybe && !self.left && !self.slept
    }

    fn open(&mut self, end: &'static str, list: List) {
        self.blocks.push((end, list));
        self.list = List::default();
    }

    fn close(&mut self, end: &str) {
        let at = self.blocks.iter().rposition(|(own, _)| *own == end);
        // the parenthesis after a pattern of `case` ends no block
        let Some(at) = at.filter(|at| end != ")" || at + 1 == self.blocks.len()) else { return };
        if let Some((_, list)) = self.blocks.get(at) {
            self.list = *list;
        }
        self.blocks.truncate(at);
    }
}
