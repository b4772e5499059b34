//! What the contract's worlds look like in Rust, and the host's side of their imports.
//!
//! All imports are generated once and shared: each interface has one implementation, whatever world asks for it. Which
//! of them a plugin gets is decided when its linker is filled; nothing is linked by default.

pub(crate) mod convert;
pub(crate) mod imports;
pub(crate) mod name;
pub(crate) mod proposed;

pub(crate) use generated::imports::tripline::plugin::types;

/// Generated from `wit/`.
#[allow(missing_docs, unreachable_pub)] // Generated.
pub(crate) mod generated {
    pub(crate) mod imports {
        wasmtime::component::bindgen!({
            inline: "
                package tripline:host;
                world imports {
                    import tripline:plugin/types@1.0.0;
                    import tripline:plugin/log@1.0.0;
                    import tripline:plugin/clock@1.0.0;
                    import tripline:plugin/random@1.0.0;
                    import tripline:plugin/kv@1.0.0;
                    import tripline:plugin/lookup@1.0.0;
                    import tripline:plugin/events@1.0.0;
                    import tripline:plugin/http@1.0.0;
                    import tripline:plugin/metrics@1.0.0;
                    import tripline:plugin/reads@1.0.0;
                }
            ",
            path: "../../wit",
            imports: { default: trappable },
        });
    }

    macro_rules! world {
        ($module:ident, $world:literal) => {
            pub(crate) mod $module {
                wasmtime::component::bindgen!({
                    path: "../../wit",
                    world: $world,
                    imports: { default: trappable },
                    with: {
                        "tripline:plugin": crate::world::generated::imports::tripline::plugin,
                    },
                });
            }
        };
    }

    world!(enricher, "tripline:plugin/enricher");
    world!(detector, "tripline:plugin/detector");
    world!(stateful_detector, "tripline:plugin/stateful-detector");
    world!(scorer, "tripline:plugin/scorer");
    world!(policy, "tripline:plugin/policy");
    world!(decoder, "tripline:plugin/decoder");
    world!(remediator, "tripline:plugin/remediator");
    world!(planner, "tripline:plugin/planner");
}
