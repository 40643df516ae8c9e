package nibble.engine;

/** Placeholder until the kernels are in: the reference operations. */
public final class VectorBackend extends ReferenceBackend {
    public VectorBackend(int threads) {}
}
