package nibble.engine;

/** Opens a backend by the name of its device. */
public final class Backends {
    private Backends() {}

    /**
     * @param device {@code auto} or {@code cpu}: {@link VectorBackend}; {@code reference}: {@link ReferenceBackend}
     * @param threads at least 1
     * @throws DeviceException for a device this version has no backend for
     */
    public static Backend open(String device, int threads) {
        if (threads < 1) {
            throw new DeviceException("device " + device + ": " + threads + " threads asked, at least 1 needed");
        }
        if (device.startsWith("cuda")) {
            throw new DeviceException("device " + device + ": no CUDA backend in this version; use --device cpu");
        }
        return switch (device) {
            case "auto", "cpu" -> new VectorBackend(threads);
            case "reference" -> new ReferenceBackend();
            default -> throw new DeviceException("device " + device + ": unknown; auto, cpu and reference are known");
        };
    }
}
