//! What an answer to a request for a file, or for its rest, means. No I/O.

use reqwest::StatusCode;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, LAST_MODIFIED};

use super::Origin;

/// What was asked for: the whole file, or its rest if it has not changed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    offset: u64,
    validator: Option<String>,
    total: Option<u64>,
}

/// What to do with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All of it is there already.
    Whole,
    /// What comes belongs at `offset`; at 0, what is there is replaced.
    From {
        offset: u64,
        total: Option<u64>,
    },
    /// What is there can't be continued.
    Useless(String),
    /// It may be another one the next time.
    Again(String),
    Refused(String),
}

impl Asked {
    /// With so many bytes of `origin` at hand.
    pub(super) fn of(length: u64, origin: Option<Origin>) -> Self {
        match origin {
            Some(Origin { validator: Some(validator), total, .. })
                if length > 0 && total.is_none_or(|total| length <= total) =>
            {
                Self { offset: length, validator: Some(validator), total }
            }
            // Nobody could tell whether the rest fits.
            _ => Self { offset: 0, validator: None, total: None },
        }
    }

    /// Where the rest begins, and which file it has to be of.
    pub(super) fn range(&self) -> Option<(u64, &str)> {
        Some((self.offset, self.validator.as_deref()?))
    }
}

pub(super) fn judge(asked: &Asked, status: StatusCode, headers: &HeaderMap) -> Verdict {
    match status {
        StatusCode::OK => Verdict::From { offset: 0, total: number(headers.get(CONTENT_LENGTH)) },
        StatusCode::PARTIAL_CONTENT => partial(asked, headers),
        StatusCode::RANGE_NOT_SATISFIABLE => match content_range(headers) {
            Some((None, Some(total))) if asked.offset == total && asked.offset > 0 => Verdict::Whole,
            _ => Verdict::Useless("the server has no rest of it".to_owned()),
        },
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            Verdict::Refused(format!("there is no such release there ({status})"))
        }
        status if is_passing(status) => Verdict::Again(format!("the answer is {status}")),
        status => Verdict::Refused(format!("the answer is {status}")),
    }
}

/// Whether the next request may be answered in another way.
pub(super) fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

fn partial(asked: &Asked, headers: &HeaderMap) -> Verdict {
    let Some((Some((first, last)), total)) = content_range(headers) else {
        return Verdict::Useless("the server sends a part and does not say which".to_owned());
    };
    let changed = asked.total.is_some() && total.is_some() && asked.total != total;
    if asked.offset == 0 || first != asked.offset || changed {
        return Verdict::Useless(format!("the server sends another part than was asked for ({first}-{last})"));
    }
    // A server may send less than the rest; what lacks is asked for the next time.
    Verdict::From { offset: first, total: total.or(asked.total).or(last.checked_add(1)) }
}

/// First and last byte, if there are any.
type Part = Option<(u64, u64)>;

/// Which part comes, and the size of the whole.
fn content_range(headers: &HeaderMap) -> Option<(Part, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim().strip_prefix("bytes ")?;
    let (range, total) = text.split_once('/')?;
    let range = match range.trim() {
        "*" => None,
        range => {
            let (first, last) = range.split_once('-')?;
            Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
        }
    };
    Some((range, total.trim().parse().ok()))
}

/// What a later request can say to get the rest of this very file: a weak entity tag can't, since it also names files
/// that differ in their bytes.
pub(super) fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name| Some(headers.get(name)?.to_str().ok()?.to_owned());
    text(ETAG).filter(|tag| tag.starts_with('"')).or_else(|| text(LAST_MODIFIED))
}

fn number(value: Option<&reqwest::header::HeaderValue>) -> Option<u64> {
    value?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderName;

    use super::*;

    fn headers(all: &[(HeaderName, &str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn asked(length: u64, validator: Option<&str>, total: Option<u64>) -> Asked {
        Asked::of(length, Some(Origin { url: String::new(), validator: validator.map(str::to_owned), total }))
    }

    fn judged(asked: &Asked, status: u16, all: &[(HeaderName, &str)]) -> Verdict {
        judge(asked, StatusCode::from_u16(status).unwrap(), &headers(all))
    }

    #[test]
    fn a_rest_is_asked_for_only_if_it_can_be_told_to_fit() {
        assert_eq!(asked(10, Some("\"a\""), Some(20)).range(), Some((10, "\"a\"")));
        assert_eq!(asked(20, Some("\"a\""), Some(20)).range(), Some((20, "\"a\"")));
        for whole in [
            asked(0, Some("\"a\""), Some(20)),
            asked(10, None, Some(20)),
            asked(21, Some("\"a\""), Some(20)),
            Asked::of(10, None),
        ] {
            assert_eq!(whole.range(), None);
        }
    }

    #[test]
    fn a_file_begins_again_or_goes_on_where_it_ended() {
        let asked = asked(10, Some("\"a\""), Some(20));
        let from = |offset, total| Verdict::From { offset, total };
        assert_eq!(judged(&asked, 200, &[(CONTENT_LENGTH, "30")]), from(0, Some(30)), "it changed, or no ranges");
        assert_eq!(judged(&asked, 200, &[]), from(0, None));
        assert_eq!(judged(&asked, 206, &[(CONTENT_RANGE, "bytes 10-19/20")]), from(10, Some(20)));
        assert_eq!(judged(&asked, 206, &[(CONTENT_RANGE, "bytes 10-14/20")]), from(10, Some(20)), "less than the rest");
        assert_eq!(judged(&asked, 206, &[(CONTENT_RANGE, "bytes 10-19/*")]), from(10, Some(20)));
    }

    #[test]
    fn another_part_than_was_asked_for_is_useless() {
        let rest = asked(10, Some("\"a\""), Some(20));
        for range in ["bytes 0-19/20", "bytes 11-19/20", "bytes 10-20/21", "bytes */20", "lines 10-19/20", "10-19", ""]
        {
            let verdict = judged(&rest, 206, &[(CONTENT_RANGE, range)]);
            assert!(matches!(verdict, Verdict::Useless(_)), "{range}: {verdict:?}");
        }
        assert!(matches!(judged(&rest, 206, &[]), Verdict::Useless(_)));
        let whole = Asked::of(0, None);
        assert!(matches!(judged(&whole, 206, &[(CONTENT_RANGE, "bytes 0-19/20")]), Verdict::Useless(_)), "not asked");
    }

    #[test]
    fn no_rest_means_that_all_is_there_or_that_it_changed() {
        let rest = asked(20, Some("\"a\""), Some(20));
        assert_eq!(judged(&rest, 416, &[(CONTENT_RANGE, "bytes */20")]), Verdict::Whole);
        for other in [&[(CONTENT_RANGE, "bytes */15")][..], &[(CONTENT_RANGE, "bytes */*")], &[]] {
            assert!(matches!(judged(&rest, 416, other), Verdict::Useless(_)), "{other:?}");
        }
        assert!(matches!(judged(&Asked::of(0, None), 416, &[(CONTENT_RANGE, "bytes */0")]), Verdict::Useless(_)));
    }

    #[test]
    fn trouble_of_the_server_passes_and_a_no_does_not() {
        let asked = Asked::of(0, None);
        for status in [500, 502, 503, 504, 408, 429] {
            assert!(matches!(judged(&asked, status, &[]), Verdict::Again(_)), "{status}");
        }
        for status in [400, 401, 403, 404, 410, 204, 304] {
            assert!(matches!(judged(&asked, status, &[]), Verdict::Refused(_)), "{status}");
        }
        let Verdict::Refused(why) = judged(&asked, 404, &[]) else { panic!() };
        assert!(why.contains("no such release there (404"), "{why}");
    }

    #[test]
    fn weak_tags_name_no_bytes() {
        let of = |all: &[(HeaderName, &str)]| validator(&headers(all));
        let time = "Mon, 01 Jun 2026 10:00:00 GMT";
        assert_eq!(of(&[(ETAG, "\"a\""), (LAST_MODIFIED, time)]).as_deref(), Some("\"a\""));
        assert_eq!(of(&[(ETAG, "W/\"a\""), (LAST_MODIFIED, time)]).as_deref(), Some(time));
        assert_eq!(of(&[(ETAG, "W/\"a\"")]), None);
        assert_eq!(of(&[]), None);
    }
}
