package nibble.cli;

import nibble.calibrate.Method;
import nibble.calibrate.QuantizeOptions;
import nibble.convert.FileSize;
import nibble.convert.LlamaConfig;
import nibble.convert.QuantizedFormat;
import nibble.pack.QuantizationSpec;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** What kind of quantized checkpoint is wanted; shared by {@code quantize} and {@code plan}. */
final class QuantizationOptions {
    @Option(
            names = "--method",
            paramLabel = "METHOD",
            defaultValue = "awq",
            description =
                    "awq: activation-aware scale and clip search. best: codes and scales fitted to what the quantized"
                            + " model feeds each linear, about half of awq's loss, on the CPU only so far. rtn: plain"
                            + " rounding. Default: ${DEFAULT-VALUE}.")
    private Method method = Method.AWQ;

    @Option(names = "--bits", paramLabel = "N", defaultValue = "4", description = "Bits of a weight: 4.")
    private int bits = 4;

    @Mixin
    private GroupSize groupSize = new GroupSize();

    @Option(
            names = "--format",
            paramLabel = "FORMAT",
            description =
                    "Layout of the output: awq, gptq (second version, zeros as they are; vLLM since 0.17 refuses it) or"
                            + " compressed-tensors. The numbers are the same in all. Default: awq.")
    private @Nullable String format;

    @Mixin
    private FormatAlias alias = new FormatAlias();

    @Option(
            names = "--max-shard-size",
            paramLabel = "SIZE",
            defaultValue = "10GB",
            description = "Largest size of an output file, as 5GB or 500MB. Default: ${DEFAULT-VALUE}.")
    private String maxShardSize = "10GB";

    /**
     * What to quantize a model to.
     *
     * @throws UsageException if no model can be quantized so
     */
    QuantizationSpec spec(LlamaConfig config, Terminal terminal) {
        check();
        return new QuantizationSpec(bits, groupSize.of(config, terminal));
    }

    /** @throws UsageException for what is wrong whatever the model */
    void check() {
        try {
            new QuantizationSpec(bits, QuantizationSpec.WHOLE_ROW);
        } catch (IllegalArgumentException e) {
            throw new UsageException(e.getMessage());
        }
        format();
        maxShardBytes();
    }

    long maxShardBytes() {
        try {
            return FileSize.parse(maxShardSize);
        } catch (IllegalArgumentException e) {
            throw new UsageException("--max-shard-size " + maxShardSize + ": " + e.getMessage());
        }
    }

    Method method() {
        return method;
    }

    QuantizedFormat format() {
        String name = alias.or(format).orElse("awq");
        return switch (name.toLowerCase(java.util.Locale.ROOT)) {
            case "awq" -> QuantizedFormat.AWQ_GEMM;
            case "gptq" -> QuantizedFormat.GPTQ_V2;
            case "compressed-tensors" -> QuantizedFormat.COMPRESSED_TENSORS;
            case "gguf", "safetensors" ->
                throw new UsageException(
                        "--format " + name + ": give awq, gptq or compressed-tensors; 'nibble convert --format " + name
                                + "' makes that of any checkpoint");
            default -> throw new UsageException("--format " + name + ": give awq, gptq or compressed-tensors");
        };
    }

    QuantizeOptions options(LlamaConfig config, int threads, boolean strict, Terminal terminal) {
        return new QuantizeOptions(method, spec(config, terminal), format(), maxShardBytes(), threads, strict);
    }
}
