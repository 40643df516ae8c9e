package nibble.cli.option;

import nibble.cli.terminal.Terminal;
import nibble.engine.backend.Activations;
import nibble.engine.backend.Backend;
import nibble.engine.tensor.DeviceLayers;
import nibble.engine.tensor.HeadWeights;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Holds the options for where to compute, and with what activations. */
public class ActivationOption {
    @Mixin
    public DeviceOptions device = new DeviceOptions();

    @Option(
            names = "--activations",
            paramLabel = "fp32|int8",
            description = "How the CPU multiplies activations with 4-bit and GGUF weights: fp32, or int8 in blocks of"
                    + " 32, which is faster and less exact. Default: int8 for 'generate', 'serve' and 'bench engine' on"
                    + " a CPU with native kernels, else fp32.")
    @Nullable
    String activations;

    @Option(
            names = "--head-weights",
            paramLabel = "stored|int8",
            defaultValue = "stored",
            description = "How the CPU multiplies with a head of fp16, bf16 or fp32: stored, or int8 in blocks of 32."
                    + " int8 reads half as much for a token and is less exact. Default: ${DEFAULT-VALUE}.")
    String headWeights = "stored";

    /** Opens the device and says which it is; int8 concerns every product, since it is what is measured. */
    public Backend open(Terminal terminal) {
        return open(terminal, Activations.FP32, Activations.INT8, layers(false));
    }

    /** Opens the device for text that is only read: in int8 where that is faster, unless fp32 is asked for. */
    public Backend openForGenerating(Terminal terminal) {
        Activations fastest = device.multipliesBytes() ? Activations.INT8_WHERE_FASTER : Activations.FP32;
        return open(terminal, fastest, Activations.INT8_WHERE_FASTER, layers(true));
    }

    /** Opens the device for text that is judged: in fp32, unless int8 is asked for. */
    public Backend openForAnswers(Terminal terminal) {
        return open(terminal, Activations.FP32, Activations.INT8_WHERE_FASTER, layers(true));
    }

    /** Returns the layers of a model that a card computes. */
    DeviceLayers layers(boolean generating) {
        return DeviceLayers.ALL;
    }

    private Backend open(Terminal terminal, Activations unasked, Activations bytes, DeviceLayers layers) {
        Activations form = switch (activations) {
            case null -> unasked;
            case "fp32" -> Activations.FP32;
            case "int8" -> bytes;
            default -> throw new UsageException("--activations " + activations + ": fp32 or int8");
        };
        HeadWeights head = switch (headWeights) {
            case "stored" -> HeadWeights.STORED;
            case "int8" -> HeadWeights.INT8;
            default -> throw new UsageException("--head-weights " + headWeights + ": stored or int8");
        };
        return device.open(terminal, form, head, layers);
    }
}
