//! What plugins remember beside the rules, as it stands in the note of a snapshot of state.
//!
//! Old reader, new data: passes it over, and the plugins begin anew. New reader, old data: there is none, and they begin anew. Old
//! writer rewriting new data: leaves it out, and they begin anew. Which bytes a plugin understands is between its versions; the
//! contract has it refuse those that it does not.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// By the name under which rules ask them.
pub type PluginMemories = BTreeMap<String, PluginMemory>;

/// What one plugin remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginMemory {
    /// The plugin's own name: another one under the same name in rules begins anew.
    pub plugin: String,
    /// What it gave to be kept.
    #[serde(with = "base64_text")]
    pub state: Arc<[u8]>,
}

/// Notes are text.
mod base64_text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::borrow::Cow;
    use std::sync::Arc;

    pub(super) fn serialize<S: Serializer>(bytes: &Arc<[u8]>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<[u8]>, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        let bytes = STANDARD.decode(text.as_bytes());
        bytes.map(Arc::from).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(state: Vec<u8>, plugin: String, alias: String) {
            let memory = PluginMemory { plugin, state: state.into() };
            let memories = PluginMemories::from([(alias, memory)]);
            let text = serde_json::to_string(&memories).expect("it is written");
            let read: PluginMemories = serde_json::from_str(&text).expect("it is read");
            prop_assert_eq!(read, memories);
        }
    }

    #[test]
    fn the_shape_is_what_it_was() {
        let written = r#"{"burst":{"plugin":"acme/burst","state":"AAEC"}}"#;
        let read: PluginMemories = serde_json::from_str(written).expect("it is read");
        assert_eq!(&*read["burst"].state, [0, 1, 2]);
        let again = serde_json::to_string(&read).expect("it is written");
        assert_eq!(again, written);
        let broken = written.replace("AAEC", "A");
        assert!(serde_json::from_str::<PluginMemories>(&broken).is_err());
    }
}
