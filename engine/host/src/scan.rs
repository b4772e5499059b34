//! Looks through a component before the compiler sees a byte of it.
//!
//! Compiling is the dearest thing that a stranger can make a host do: 310 KB were seen to ask for 26 GB. So the component
//! is validated here with bounds of our own, which every toolchain stays far below and every known bomb exceeds, and
//! what a load has to decide on is taken out: what it imports and exports, and its manifest. Native code that poses as a
//! component is refused; compiled code comes from our own cache alone.

use crate::limits::{
    BODY_BYTES_MAX, BODY_LOCALS_MAX, COMPONENT_BYTES_MAX, CORE_MODULES_MAX, FUNCTIONS_MAX,
    NAMES_MAX,
};
use crate::manifest::MANIFEST_BYTES_MAX;
use thiserror::Error;
use wasmparser::{
    BinaryReaderError, Encoding, FuncValidatorAllocations, FunctionBody, Parser, Payload,
    ValidPayload, Validator, WasmFeatures,
};

/// The custom section with the manifest.
pub const MANIFEST_SECTION: &str = "tripline:manifest";

/// What the engine speaks: without what no toolchain needs, so that a component that asks for more is told so here.
const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::MULTI_MEMORY)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::COMPONENT_MODEL);

/// Why a component is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs)] // Each is its own sentence.
pub enum ScanFault {
    #[error("it is {is} bytes long; at most {COMPONENT_BYTES_MAX} are allowed")]
    TooLong { is: usize },
    #[error("it is native code, not a component")]
    NativeCode,
    #[error("it is a core module, not a component: build it as a component")]
    CoreModule,
    #[error("it is no WebAssembly component")]
    NoComponent,
    #[error("it is not valid: {message} (at byte {offset})")]
    Invalid { message: String, offset: u64 },
    #[error("a function has {is} bytes; at most {BODY_BYTES_MAX} are allowed")]
    Body { is: u64 },
    #[error("a function has {is} locals; at most {BODY_LOCALS_MAX} are allowed")]
    Locals { is: u64 },
    #[error("it has more than {FUNCTIONS_MAX} functions")]
    Functions,
    #[error("it has more than {CORE_MODULES_MAX} core modules")]
    CoreModules,
    #[error("it has more than {NAMES_MAX} imports or exports")]
    Names,
    #[error("it has more than one section `{MANIFEST_SECTION}`")]
    ManifestTwice,
    #[error("its manifest is longer than {MANIFEST_BYTES_MAX} bytes")]
    ManifestTooLong,
    #[error("its manifest is not UTF-8")]
    ManifestNotText,
}

/// What was found in a component that is not refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Names of what it imports.
    pub imports: Vec<String>,
    /// Names of what it exports.
    pub exports: Vec<String>,
    /// The text of its manifest, when it carries one.
    pub manifest: Option<String>,
    /// Functions of all its modules.
    pub functions: usize,
    /// Core modules.
    pub core_modules: usize,
    /// Bytes of the longest function.
    pub body_bytes: u64,
    /// Locals of the function that has most.
    pub body_locals: u64,
}

/// Looks through a component.
pub fn scan(bytes: &[u8]) -> Result<Scanned, ScanFault> {
    check_form(bytes)?;
    let mut scanned = Scanned::default();
    let mut parser = Parser::new(0);
    parser.set_features(FEATURES);
    let mut validator = Validator::new_with_features(FEATURES);
    let mut allocations = FuncValidatorAllocations::default();
    let mut depth = 0_usize;
    for payload in parser.parse_all(bytes) {
        let payload = payload.map_err(invalid)?;
        match &payload {
            Payload::Version { encoding, .. } => {
                depth += 1;
                scanned.core_modules += usize::from(*encoding == Encoding::Module);
                if scanned.core_modules > CORE_MODULES_MAX {
                    return Err(ScanFault::CoreModules);
                }
            }
            Payload::End(_) => depth -= 1,
            payload => scanned.see(payload, depth == 1)?,
        }
        if let ValidPayload::Func(function, body) = validator.payload(&payload).map_err(invalid)? {
            scanned.see_body(&body)?;
            let mut function = function.into_validator(allocations);
            function.validate(&body).map_err(invalid)?;
            allocations = function.into_allocations();
        }
    }
    Ok(scanned)
}

/// Refuses by the first bytes.
fn check_form(bytes: &[u8]) -> Result<(), ScanFault> {
    if bytes.len() > COMPONENT_BYTES_MAX {
        return Err(ScanFault::TooLong { is: bytes.len() });
    }
    let is_native = bytes.starts_with(b"\x7fELF")
        || bytes.starts_with(b"MZ")
        || bytes.starts_with(&[0xcf, 0xfa, 0xed, 0xfe])
        || wasmtime::Engine::detect_precompiled(bytes).is_some();
    if is_native {
        return Err(ScanFault::NativeCode);
    }
    if Parser::is_core_wasm(bytes) {
        return Err(ScanFault::CoreModule);
    }
    if !Parser::is_component(bytes) {
        return Err(ScanFault::NoComponent);
    }
    Ok(())
}

fn invalid(fault: BinaryReaderError) -> ScanFault {
    let mut message = fault.message().to_owned();
    message.truncate(message.floor_char_boundary(200));
    ScanFault::Invalid {
        message,
        offset: fault.offset(),
    }
}

impl Scanned {
    fn see(&mut self, payload: &Payload<'_>, is_outermost: bool) -> Result<(), ScanFault> {
        match payload {
            Payload::CodeSectionStart { count, .. } => {
                self.functions += *count as usize;
                if self.functions > FUNCTIONS_MAX {
                    return Err(ScanFault::Functions);
                }
            }
            Payload::ComponentImportSection(section) if is_outermost => {
                for import in section.clone() {
                    let name = import.map_err(invalid)?.name.name;
                    push_name(&mut self.imports, name)?;
                }
            }
            Payload::ComponentExportSection(section) if is_outermost => {
                for export in section.clone() {
                    let name = export.map_err(invalid)?.name.name;
                    push_name(&mut self.exports, name)?;
                }
            }
            // Components within may carry manifests of their own; only the outermost one speaks for the plugin.
            Payload::CustomSection(section)
                if is_outermost && section.name() == MANIFEST_SECTION =>
            {
                self.see_manifest(section.data())?;
            }
            _ => {}
        }
        Ok(())
    }

    fn see_manifest(&mut self, bytes: &[u8]) -> Result<(), ScanFault> {
        if self.manifest.is_some() {
            return Err(ScanFault::ManifestTwice);
        }
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(ScanFault::ManifestTooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| ScanFault::ManifestNotText)?;
        self.manifest = Some(text.to_owned());
        Ok(())
    }

    fn see_body(&mut self, body: &FunctionBody<'_>) -> Result<(), ScanFault> {
        let range = body.range();
        let is = range.end - range.start;
        self.body_bytes = self.body_bytes.max(is);
        if is > BODY_BYTES_MAX {
            return Err(ScanFault::Body { is });
        }
        let mut locals = 0;
        for group in body.get_locals_reader().map_err(invalid)? {
            let (count, _) = group.map_err(invalid)?;
            locals += u64::from(count);
        }
        self.body_locals = self.body_locals.max(locals);
        if locals > u64::from(BODY_LOCALS_MAX) {
            return Err(ScanFault::Locals { is: locals });
        }
        Ok(())
    }
}

fn push_name(names: &mut Vec<String>, name: &str) -> Result<(), ScanFault> {
    if names.len() == NAMES_MAX {
        return Err(ScanFault::Names);
    }
    names.push(name.to_owned());
    Ok(())
}
