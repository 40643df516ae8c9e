package nibble.engine.backend;

/** Lists the kinds of devices; the same kind has the same rounding of activations. */
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

    /** Returns the name that {@code --device} has for it. */
    public String label() {
        return label;
    }
}
