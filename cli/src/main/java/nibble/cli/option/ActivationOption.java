package nibble.cli.option;

import nibble.cli.terminal.Terminal;
import nibble.engine.backend.Activations;
import nibble.engine.backend.Backend;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Holds the options for where to compute, and with what activations. */
public final class ActivationOption {
    @Mixin
    public DeviceOptions device = new DeviceOptions();

    @Option(
            names = "--activations",
            paramLabel = "fp32|int8",
            defaultValue = "fp32",
            description = "How the CPU multiplies activations with 4-bit and GGUF weights: fp32, or int8 in blocks of"
                    + " 32, which is faster and less exact. Default: ${DEFAULT-VALUE}.")
    String activations = "fp32";

    /** Opens the device and says which it is; int8 concerns every product, since it is what is measured. */
    public Backend open(Terminal terminal) {
        return open(terminal, Activations.INT8);
    }

    /** Opens the device and says which it is; int8 concerns generated tokens, not prompts, which it does not help. */
    public Backend openForGenerating(Terminal terminal) {
        return open(terminal, Activations.INT8_WHERE_FASTER);
    }

    private Backend open(Terminal terminal, Activations bytes) {
        return switch (activations) {
            case "fp32" -> device.open(terminal, Activations.FP32);
            case "int8" -> device.open(terminal, bytes);
            default -> throw new UsageException("--activations " + activations + ": fp32 or int8");
        };
    }
}
