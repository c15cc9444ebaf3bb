//! Where a reader stands in a file, and the refusals made there.

use super::{ImportError, Place};

/// Where the import stands, for messages.
#[derive(Debug, Clone)]
pub(super) struct Site(pub(super) Box<Place>);

impl Site {
    pub(super) fn of(name: &str) -> Self {
        Self(Place::of(name))
    }

    pub(super) fn operator(&self, index: usize, kind: String, layer: String) -> Self {
        let mut site = self.clone();
        site.0.operator = Some((index, kind));
        site.0.layer = Some(layer);
        site
    }

    pub(super) fn tensor(&self, name: &str) -> Self {
        let mut site = self.clone();
        site.0.tensor = Some(name.to_owned());
        site
    }

    pub(super) fn damaged(&self, why: impl Into<String>) -> ImportError {
        ImportError::Damaged { place: self.0.clone(), why: why.into() }
    }

    pub(super) fn shape(&self, why: impl Into<String>) -> ImportError {
        ImportError::Shape { place: self.0.clone(), why: why.into() }
    }

    pub(super) fn quantisation(&self, why: impl Into<String>) -> ImportError {
        ImportError::Quantisation { place: self.0.clone(), why: why.into() }
    }

    pub(super) fn unsupported(&self, feature: impl Into<String>, instead: &'static str) -> ImportError {
        ImportError::Unsupported { place: self.0.clone(), feature: feature.into(), instead }
    }
}
