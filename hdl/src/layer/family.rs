//! The texts of a primitive for single FPGA families.

use lpu_isa::board::Family;

/// All families that a primitive may have a text for.
const FAMILIES: [Family; 3] = [Family::Ecp5, Family::Ice40, Family::Gowin];

/// What stands before a family's text when all of them travel as one, see [`FamilyTexts::to_joined`].
const OPENING: &str = "${family:";

/// The texts of a primitive for the families that have one of their own. The others are given the behavioural text, from which
/// synthesis infers what it can.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct FamilyTexts {
    /// For Lattice ECP5.
    pub ecp5: Option<String>,
    /// For Lattice iCE40.
    pub ice40: Option<String>,
    /// For Gowin.
    pub gowin: Option<String>,
}

impl FamilyTexts {
    /// A text for ECP5 alone.
    #[must_use]
    pub fn ecp5(text: String) -> Self {
        FamilyTexts { ecp5: Some(text), ..FamilyTexts::default() }
    }

    /// A text for `family` alone.
    #[must_use]
    pub fn only(family: Family, text: String) -> Self {
        let mut texts = FamilyTexts::default();
        *texts.slot(family) = Some(text);
        texts
    }

    /// The family's own text.
    #[must_use]
    pub fn get(&self, family: Family) -> Option<&str> {
        match family {
            Family::Ecp5 => self.ecp5.as_deref(),
            Family::Ice40 => self.ice40.as_deref(),
            Family::Gowin => self.gowin.as_deref(),
        }
    }

    /// The families that have a text, with their texts.
    pub fn iter(&self) -> impl Iterator<Item = (Family, &str)> {
        FAMILIES.into_iter().filter_map(|family| Some((family, self.get(family)?)))
    }

    /// The same families with other texts.
    #[must_use]
    pub fn map(&self, mut change: impl FnMut(Family, &str) -> String) -> Self {
        let mut changed = FamilyTexts::default();
        for (family, text) in self.iter() {
            *changed.slot(family) = Some(change(family, text));
        }
        changed
    }

    fn slot(&mut self, family: Family) -> &mut Option<String> {
        match family {
            Family::Ecp5 => &mut self.ecp5,
            Family::Ice40 => &mut self.ice40,
            Family::Gowin => &mut self.gowin,
        }
    }

    /// All texts as one, for rust-hdl's wrapper, which has room for one beside the behavioural text.
    pub(crate) fn to_joined(&self) -> String {
        self.iter().map(|(family, text)| format!("{OPENING}{family}}}{text}")).collect()
    }

    /// Undoes [`to_joined`](Self::to_joined).
    pub(crate) fn from_joined(joined: &str) -> Self {
        let mut texts = FamilyTexts::default();
        for part in joined.split(OPENING).skip(1) {
            for family in FAMILIES {
                if let Some(text) = part.strip_prefix(&format!("{family}}}")) {
                    *texts.slot(family) = Some(text.to_string());
                }
            }
        }
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_texts_come_apart_again() {
        let both = FamilyTexts { ecp5: Some("a ${module:a}\n".into()), ice40: None, gowin: Some(String::new()) };
        for texts in [FamilyTexts::default(), both, FamilyTexts::only(Family::Ice40, "ecp5}".into())] {
            assert_eq!(FamilyTexts::from_joined(&texts.to_joined()), texts);
        }
    }
}
