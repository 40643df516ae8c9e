package nibble.cli;

import nibble.convert.FileSize;
import nibble.engine.Backend;
import nibble.engine.Backends;
import nibble.engine.VectorBackend;
import nibble.engine.cuda.CudaBackend;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Where to compute. */
final class DeviceOptions {
    @Option(
            names = "--device",
            paramLabel = "DEVICE",
            defaultValue = "auto",
            description = "cuda:N, cpu, reference (plain loops, slow), or auto: cuda:0 where there is a card, else cpu."
                    + " Default: ${DEFAULT-VALUE}.")
    String device = "auto";

    @Option(
            names = "--threads",
            paramLabel = "N",
            description = "Threads on the CPU; results do not depend on it. Default: one for each processor.")
    int threads = Runtime.getRuntime().availableProcessors();

    @Option(
            names = "--max-device-memory",
            paramLabel = "SIZE",
            description = "Most memory to take of a card, as 24GB. Default: all that is free.")
    private @Nullable String maxDeviceMemory;

    /** Opens the device and says which it is. */
    Backend open(Terminal terminal) {
        if (threads < 1) {
            throw new UsageException("--threads " + threads + ": at least 1");
        }
        Backend backend = Backends.open(device, threads, deviceMemory());
        String reason = device.equals("auto") && backend instanceof VectorBackend ? " (" + CudaBackend.missing() + ")" : "";
        terminal.note("device: " + backend.description() + reason);
        return backend;
    }

    private long deviceMemory() {
        if (maxDeviceMemory == null) {
            return Long.MAX_VALUE;
        }
        try {
            return FileSize.parse(maxDeviceMemory);
        } catch (IllegalArgumentException e) {
            throw new UsageException("--max-device-memory " + maxDeviceMemory + ": " + e.getMessage());
        }
    }
}
