//! A plain core module: the engine as the host sets it up, and a batch copied into the memory by hand.

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, InstancePre, Linker, Memory, Module,
    PoolingAllocationConfig, Store, TypedFunc,
};

pub(crate) struct CoreModule {
    engine: Engine,
    pre: InstancePre<()>,
}

pub(crate) struct Running {
    store: Store<()>,
    memory: Memory,
    room: TypedFunc<u32, u32>,
    find: TypedFunc<u32, u64>,
    found: Vec<u32>,
}

impl CoreModule {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut pool = PoolingAllocationConfig::new();
        pool.linear_memory_keep_resident(2 << 20)
            .table_keep_resident(4096)
            .pagemap_scan(Enabled::Auto);
        let mut config = Config::new();
        config
            .epoch_interruption(true)
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        let engine = Engine::new(&config).expect("the engine starts");
        let module = Module::new(&engine, bytes).expect("it compiles");
        let pre = Linker::new(&engine).instantiate_pre(&module);
        Self {
            pre: pre.expect("it has no imports"),
            engine,
        }
    }

    pub(crate) fn instance(&self) -> Running {
        let mut store = Store::new(&self.engine, ());
        store.set_epoch_deadline(u64::MAX / 2);
        let instance = self.pre.instantiate(&mut store).expect("it starts");
        Running {
            memory: instance.get_memory(&mut store, "memory").expect("a memory"),
            room: instance
                .get_typed_func(&mut store, "room")
                .expect("a function"),
            find: instance
                .get_typed_func(&mut store, "find_rows")
                .expect("a function"),
            found: Vec::new(),
            store,
        }
    }
}

impl Running {
    pub(crate) fn find(&mut self, batch: &[u8]) -> usize {
        let bytes = batch.len() as u32;
        let at = self
            .room
            .call(&mut self.store, bytes)
            .expect("there is room");
        let copied = self.memory.write(&mut self.store, at as usize, batch);
        copied.expect("it is within the memory");
        let told = self.find.call(&mut self.store, bytes).expect("it answers");
        let (at, count) = ((told >> 32) as usize, (told & 0xffff_ffff) as usize);
        let rows = &self.memory.data(&self.store)[at..at + count * 4];
        self.found.clear();
        let (rows, _) = rows.as_chunks::<4>();
        self.found
            .extend(rows.iter().map(|row| u32::from_le_bytes(*row)));
        self.found.len()
    }
}
