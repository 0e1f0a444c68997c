//! Words in which failures are told. One of them is not taken out of a message because it is also somebody's input.

use std::sync::LazyLock;

/// In lower case.
const COMMON_WORDS: &str = "\
    abort aborted access again already and answer any archive are argument array authorized available bad bounds \
    broken but byte bytes call cannot certificate character characters check close closed code column columns \
    command connect connection content corrupt corrupted could crashed create damaged data database date decode \
    denied device did directory disk document does down duplicate email empty encode encoding end ended entry \
    error exceeded exception exist existing exists exit expected expired failed failure fatal field file find \
    folder for forbidden format found from full gone has have header host http image input integer internal \
    interrupted into invalid is item its json key kind large left length limit line lines link long lost mail many \
    match memory message missing must name network none not nothing null number object of off only open opened \
    operation option out output page parse passed password path peer permission permitted picture process protocol \
    range read reading reason record refused request required reset resource response result row rows schema \
    server service short signal size small space stack started status stopped stream string such supported syntax \
    system table task temporarily temporary text than that the this time timeout too truncated try type unable \
    unavailable unexpected unknown unreachable unsupported url user valid value version was were will with without \
    write wrong";

static SORTED: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let mut words: Vec<&str> = COMMON_WORDS.split(' ').collect();
    words.sort_unstable();
    words
});

/// Letters of a word that may be any, such as "a" or "no".
const SHORT_CHARS_MAX: usize = 2;

/// True for a word in lower case that messages are made of.
pub fn is_common(word: &str) -> bool {
    is_short(word) || SORTED.binary_search(&word).is_ok()
}

/// True for a word too short to say whose it is; a sign of a script without blanks says more.
pub fn is_short(word: &str) -> bool {
    word.chars().count() <= SHORT_CHARS_MAX && word.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_known() {
        assert!(is_common("file") && is_common("of") && !is_common("anna") && !is_short("写真"));
    }
}
