package nibble.cli;

import nibble.calibrate.Method;
import nibble.calibrate.QuantizeOptions;
import nibble.convert.FileSize;
import nibble.convert.QuantizedFormat;
import nibble.pack.QuantizationSpec;
import picocli.CommandLine.Option;

/** What kind of quantized checkpoint is wanted; shared by {@code quantize} and {@code plan}. */
final class QuantizationOptions {
    @Option(
            names = "--method",
            paramLabel = "METHOD",
            defaultValue = "awq",
            description =
                    "awq: activation-aware scale and clip search. rtn: plain rounding. Default: ${DEFAULT-VALUE}.")
    private Method method = Method.AWQ;

    @Option(names = "--bits", paramLabel = "N", defaultValue = "4", description = "Bits of a weight: 4.")
    private int bits = 4;

    @Option(
            names = "--group-size",
            paramLabel = "N",
            defaultValue = "128",
            description =
                    "Input features that share a scale: 32, 64, 128, or -1 for a whole row. Default: ${DEFAULT-VALUE}.")
    private int groupSize = 128;

    @Option(
            names = "--format",
            paramLabel = "FORMAT",
            defaultValue = "awq",
            description = "Layout of the output: awq, gptq (second version, zeros as they are) or compressed-tensors. The numbers"
                    + " are the same in all. Default: ${DEFAULT-VALUE}.")
    private String format = "awq";

    @Option(
            names = "--max-shard-size",
            paramLabel = "SIZE",
            defaultValue = "10GB",
            description = "Largest size of an output file, as 5GB or 500MB. Default: ${DEFAULT-VALUE}.")
    private String maxShardSize = "10GB";

    QuantizationSpec spec() {
        try {
            return new QuantizationSpec(bits, groupSize);
        } catch (IllegalArgumentException e) {
            throw new UsageException(e.getMessage());
        }
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
        return switch (format.toLowerCase(java.util.Locale.ROOT)) {
            case "awq" -> QuantizedFormat.AWQ_GEMM;
            case "gptq" -> QuantizedFormat.GPTQ_V2;
            case "compressed-tensors" -> QuantizedFormat.COMPRESSED_TENSORS;
            default -> throw new UsageException("--format " + format + ": give awq, gptq or compressed-tensors");
        };
    }

    QuantizeOptions options(int threads, boolean strict) {
        return new QuantizeOptions(method, spec(), format(), maxShardBytes(), threads, strict);
    }
}
