//! The meaning of an answer to a request for a file or for its rest. No I/O.

use reqwest::StatusCode;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, LAST_MODIFIED};

use super::PartSource;

/// A request for the whole file, or for its rest if the file has not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RangeRequest {
    offset: u64,
    validator: Option<String>,
    total: Option<u64>,
}

/// The client's reaction to an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RangeAnswer {
    /// The part is the whole file already.
    Whole,
    /// The body belongs at `offset`. At 0 it replaces the part.
    From {
        offset: u64,
        total: Option<u64>,
    },
    /// The part can't be continued.
    Useless(String),
    /// The next answer may be another one.
    Again(String),
    Refused(String),
}

impl RangeRequest {
    /// Returns the request for a file of which `length` bytes have come, from `origin`.
    pub(super) fn of(length: u64, origin: Option<PartSource>) -> Self {
        match origin {
            Some(PartSource { validator: Some(validator), total, .. })
                if length > 0 && total.is_none_or(|total| length <= total) =>
            {
                Self { offset: length, validator: Some(validator), total }
            }
            // There is no way to tell whether the rest fits.
            _ => Self { offset: 0, validator: None, total: None },
        }
    }

    /// Returns the offset at which the rest begins, and the validator of the file.
    pub(super) fn range(&self) -> Option<(u64, &str)> {
        Some((self.offset, self.validator.as_deref()?))
    }
}

pub(super) fn judge(asked: &RangeRequest, status: StatusCode, headers: &HeaderMap) -> RangeAnswer {
    match status {
        StatusCode::OK => RangeAnswer::From { offset: 0, total: number(headers.get(CONTENT_LENGTH)) },
        StatusCode::PARTIAL_CONTENT => partial(asked, headers),
        StatusCode::RANGE_NOT_SATISFIABLE => match content_range(headers) {
            Some((None, Some(total))) if asked.offset == total && asked.offset > 0 => RangeAnswer::Whole,
            _ => RangeAnswer::Useless("the server has no rest of it".to_owned()),
        },
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            RangeAnswer::Refused(format!("there is no such release there ({status})"))
        }
        status if is_passing(status) => RangeAnswer::Again(format!("the answer is {status}")),
        status => RangeAnswer::Refused(format!("the answer is {status}")),
    }
}

/// Returns whether the next request may succeed after this status.
pub(super) fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

fn partial(asked: &RangeRequest, headers: &HeaderMap) -> RangeAnswer {
    let Some((Some((first, last)), total)) = content_range(headers) else {
        return RangeAnswer::Useless("the server sends a part and does not say which".to_owned());
    };
    let changed = asked.total.is_some() && total.is_some() && asked.total != total;
    if asked.offset == 0 || first != asked.offset || changed {
        return RangeAnswer::Useless(format!("the server sends another part than was asked for ({first}-{last})"));
    }
    // A server may send less than the rest. The next request asks for what is missing.
    RangeAnswer::From { offset: first, total: total.or(asked.total).or(last.checked_add(1)) }
}

/// The first and the last byte of a range, if there is one.
type Part = Option<(u64, u64)>;

/// Returns the range that comes, and the size of the whole file.
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

/// Returns the validator by which a later request gets the rest of this very file. A weak entity tag is none, since
/// files with the same one may differ in their bytes.
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

    fn asked(length: u64, validator: Option<&str>, total: Option<u64>) -> RangeRequest {
        RangeRequest::of(
            length,
            Some(PartSource { url: String::new(), validator: validator.map(str::to_owned), total }),
        )
    }

    fn judged(asked: &RangeRequest, status: u16, all: &[(HeaderName, &str)]) -> RangeAnswer {
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
            RangeRequest::of(10, None),
        ] {
            assert_eq!(whole.range(), None);
        }
    }

    #[test]
    fn a_file_begins_again_or_goes_on_where_it_ended() {
        let asked = asked(10, Some("\"a\""), Some(20));
        let from = |offset, total| RangeAnswer::From { offset, total };
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
            assert!(matches!(verdict, RangeAnswer::Useless(_)), "{range}: {verdict:?}");
        }
        assert!(matches!(judged(&rest, 206, &[]), RangeAnswer::Useless(_)));
        let whole = RangeRequest::of(0, None);
        assert!(
            matches!(judged(&whole, 206, &[(CONTENT_RANGE, "bytes 0-19/20")]), RangeAnswer::Useless(_)),
            "not asked"
        );
    }

    #[test]
    fn no_rest_means_that_all_is_there_or_that_it_changed() {
        let rest = asked(20, Some("\"a\""), Some(20));
        assert_eq!(judged(&rest, 416, &[(CONTENT_RANGE, "bytes */20")]), RangeAnswer::Whole);
        for other in [&[(CONTENT_RANGE, "bytes */15")][..], &[(CONTENT_RANGE, "bytes */*")], &[]] {
            assert!(matches!(judged(&rest, 416, other), RangeAnswer::Useless(_)), "{other:?}");
        }
        assert!(matches!(
            judged(&RangeRequest::of(0, None), 416, &[(CONTENT_RANGE, "bytes */0")]),
            RangeAnswer::Useless(_)
        ));
    }

    #[test]
    fn trouble_of_the_server_passes_and_a_no_does_not() {
        let asked = RangeRequest::of(0, None);
        for status in [500, 502, 503, 504, 408, 429] {
            assert!(matches!(judged(&asked, status, &[]), RangeAnswer::Again(_)), "{status}");
        }
        for status in [400, 401, 403, 404, 410, 204, 304] {
            assert!(matches!(judged(&asked, status, &[]), RangeAnswer::Refused(_)), "{status}");
        }
        let RangeAnswer::Refused(why) = judged(&asked, 404, &[]) else { panic!() };
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
