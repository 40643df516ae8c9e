package nibble.cli.cluster;

import java.nio.file.Path;
import nibble.cli.option.UsageException;
import nibble.cluster.spark.EnginePlace;
import nibble.engine.attention.CacheType;
import picocli.CommandLine.Option;

/** Holds the option for where executors compute. */
final class ExecutorOptions {
    static final String MODEL = "A checkpoint, dense or quantized, or a GGUF file, at the same path on every host. A"
            + " folder, or ORG/NAME[@REVISION][:FILE] on the hub, which is downloaded here once.";

    @Option(
            names = "--device",
            paramLabel = "DEVICE",
            defaultValue = "auto",
            description = "Where an executor computes: cpu, reference, cuda:N, or auto: the card that Spark gave it,"
                    + " otherwise its CPU. Default: ${DEFAULT-VALUE}.")
    private String device = "auto";

    /** The engine of a model. */
    EnginePlace place(Path model, CacheType cache) {
        return new EnginePlace(model.toAbsolutePath().normalize().toString(), device, cache);
    }

    /** Returns the name of the device. */
    String device() {
        return device;
    }

    /** @throws UsageException if windows are longer than what the model was made for */
    static void requireContext(int context, int most) {
        if (context > most) {
            throw new UsageException("--context " + context + ": the model was made for " + most + " tokens at most");
        }
    }
}
