package nibble.cli;

import nibble.engine.Backend;
import nibble.engine.Backends;
import picocli.CommandLine.Option;

/** Where to compute. */
final class DeviceOptions {
    @Option(
            names = "--device",
            paramLabel = "DEVICE",
            defaultValue = "auto",
            description = "auto, cpu, or reference (plain loops, slow). Default: ${DEFAULT-VALUE}.")
    String device = "auto";

    @Option(
            names = "--threads",
            paramLabel = "N",
            description = "Threads on the CPU; results do not depend on it. Default: one for each processor.")
    int threads = Runtime.getRuntime().availableProcessors();

    Backend open() {
        if (threads < 1) {
            throw new UsageException("--threads " + threads + ": at least 1");
        }
        return Backends.open(device, threads);
    }
}
