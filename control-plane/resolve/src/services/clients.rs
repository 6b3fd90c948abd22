//! Annotations of a Service for clients that balance by themselves. What cannot be read is left out, and nothing else with it.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use heddle_model::{ClientSettings, OutlierDetection};

use crate::{
    names::excerpt,
    problem::Report,
    routes::duration,
    selector::Labels,
    settings::{
        HASH_HEADER_ANNOTATION, MAX_REQUESTS_ANNOTATION, OUTLIER_INTERVAL_ANNOTATION,
        OUTLIER_PERCENTAGE_ANNOTATION,
    },
};

/// gRPC's own (gRFC A50).
const INTERVAL: Duration = Duration::from_secs(10);
/// How the names of headers end that gRPC does not hash (gRFC A42).
const BINARY: &str = "-bin";

pub(super) fn read(annotations: Option<&Labels>, report: &mut Report) -> ClientSettings {
    let Some(annotations) = annotations else {
        return ClientSettings::default();
    };
    let mut annotations = Annotations {
        annotations,
        report,
    };
    let max_requests = annotations.read(
        MAX_REQUESTS_ANNOTATION,
        "a number of requests (1 to 4294967295)",
        |text| text.parse::<NonZeroU32>().ok(),
    );
    let hash_header = annotations.read(
        HASH_HEADER_ANNOTATION,
        "the name of a header that holds text",
        hash_header,
    );
    let percentage = annotations.read(
        OUTLIER_PERCENTAGE_ANNOTATION,
        "a percentage (1 to 100)",
        |text| text.parse::<u8>().ok().filter(|n| (1..=100).contains(n)),
    );
    let interval = annotations.read(
        OUTLIER_INTERVAL_ANNOTATION,
        "a duration above zero (GEP-2257: 500ms, 10s)",
        |text| duration::parse(text).filter(|read| !read.is_zero()),
    );
    ClientSettings {
        max_requests,
        hash_header,
        outliers: percentage.map(|failure_percentage| OutlierDetection {
            failure_percentage,
            interval: interval.unwrap_or(INTERVAL),
        }),
    }
}

struct Annotations<'a> {
    annotations: &'a Labels,
    report: &'a mut Report,
}

impl Annotations<'_> {
    fn read<T>(
        &mut self,
        name: &str,
        wanted: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.annotations.get(name)?;
        let value = read(text);
        if value.is_none() {
            let message = format!("{} is not {wanted}; it is left out", excerpt(text));
            self.report
                .add(format!("metadata.annotations[{name}]"), message);
        }
        value
    }
}

fn hash_header(text: &str) -> Option<Arc<str>> {
    let name = text.to_ascii_lowercase();
    let letters = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let fits = (1..=256).contains(&name.len()) && name.bytes().all(letters);
    (fits && !name.ends_with(BINARY)).then(|| name.into())
}
