package nibble.engine.backend;

/** Kinds of devices; the same kind has the same rounding of activations. */
public enum DeviceKind {
    /** Plain loops on the host, the specification. */
    REFERENCE("reference"),
    /** Vector instructions of the host: activations in fp32. */
    CPU("cpu"),
    /** An NVIDIA card: activations in fp16. */
    CUDA("cuda");

    private final String label;

    DeviceKind(String label) {
        this.label = label;
    }

    /** As {@code --device} names it. */
    public String label() {
        return label;
    }
}
