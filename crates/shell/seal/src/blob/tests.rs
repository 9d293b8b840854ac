use proptest::prelude::*;

use super::*;

#[test]
fn the_line_says_how_a_secret_is_sealed() {
    let sealed = join(Sealing::Nothing, b"abc");
    let text = "faros-sealed 1 nothing 3 \
                ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\nabc";
    assert_eq!(str::from_utf8(&sealed), Ok(text));
    for mode in Sealing::ALL {
        assert_eq!(mode_of(&join(mode, b"abc")), Ok(mode));
        assert_eq!(split(&join(mode, b"")), Ok((mode, &b""[..])));
    }
}

#[test]
fn what_is_wrong_with_a_file_has_a_name() {
    let zeros = "0".repeat(64);
    let cases: &[(&str, FormatError)] = &[
        ("", FormatError::Empty),
        ("\n", FormatError::NotSealed),
        ("faros-sealed", FormatError::Truncated),
        ("faros-sealed\n", FormatError::NotSealed),
        ("faros-sealed 1 nothing 3", FormatError::Truncated),
        ("faros-sealed 1 nothing 3\nabc", FormatError::Damaged),
        (
            "faros-sealed 2 nothing 3 x\nabc",
            FormatError::Version { found: 2 },
        ),
        ("faros-sealed 2 moon 3\nabc", FormatError::Version { found: 2 }),
        (
            "faros-sealed 99999999999 nothing 3 x\nabc",
            FormatError::NotSealed,
        ),
        ("faros-sealed 1 moon 3 x\nabc", FormatError::Mode),
        ("faros-sealed 1\n", FormatError::Mode),
        (
            &format!("faros-sealed 1 nothing 3 {zeros}\nab"),
            FormatError::Truncated,
        ),
        (
            &format!("faros-sealed 1 nothing 3 {zeros}\nabc"),
            FormatError::Damaged,
        ),
        (
            &format!("faros-sealed 1 nothing 3 {zeros}\nabcd"),
            FormatError::Damaged,
        ),
        (
            &format!("faros-sealed 1 nothing +3 {zeros}\nabc"),
            FormatError::Damaged,
        ),
        ("age-encryption.org/v1\n", FormatError::NotSealed),
        ("{\"keys\": []}\n", FormatError::NotSealed),
        (&"x".repeat(MAX_SEALED), FormatError::NotSealed),
        (&"x".repeat(MAX_SEALED + 1), FormatError::TooLarge),
    ];
    for (text, expected) in cases {
        let short: String = text.chars().take(60).collect();
        assert_eq!(mode_of(text.as_bytes()), Err(*expected), "{short:?}");
    }
}

fn modes() -> impl Strategy<Value = Sealing> {
    prop::sample::select(Sealing::ALL.to_vec())
}

proptest! {
    #[test]
    fn what_was_joined_is_split_again(mode in modes(), body: Vec<u8>) {
        let sealed = join(mode, &body);
        prop_assert_eq!(split(&sealed), Ok((mode, &body[..])));
    }

    #[test]
    fn no_flipped_bit_goes_unseen(mode in modes(), body: Vec<u8>, at: prop::sample::Index, bit in 0..8_u32) {
        let mut sealed = join(mode, &body);
        let at = at.index(sealed.len());
        sealed[at] ^= 1_u8 << bit;
        prop_assert!(split(&sealed).is_err());
    }

    #[test]
    fn no_missing_end_goes_unseen(mode in modes(), body: Vec<u8>, at: prop::sample::Index) {
        let sealed = join(mode, &body);
        prop_assert!(split(&sealed[..at.index(sealed.len())]).is_err());
    }

    #[test]
    fn nothing_may_follow(mode in modes(), body: Vec<u8>, more in prop::collection::vec(any::<u8>(), 1..9)) {
        let mut sealed = join(mode, &body);
        sealed.extend(more);
        prop_assert_eq!(split(&sealed), Err(FormatError::Damaged));
    }

    #[test]
    fn any_bytes_are_read_or_refused(start in prop::sample::select(vec!["", "faros-sealed ", "faros-sealed 1 nothing "]), rest: Vec<u8>) {
        let _ = split(&[start.as_bytes(), &rest].concat());
    }
}
