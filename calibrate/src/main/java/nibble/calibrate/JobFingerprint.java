package nibble.calibrate;

import java.util.LinkedHashMap;
import java.util.Map;
import nibble.convert.Fingerprint;
import nibble.datasets.TokenBlocks;
import nibble.engine.Backend;

/** The {@link Fingerprint} of a quantization. The number of threads is not part of it. */
final class JobFingerprint {
    private JobFingerprint() {}

    static Fingerprint of(QuantizationJob job, Backend backend) {
        Map<String, String> values = new LinkedHashMap<>();
        // Elementary functions differ in the last digit between releases of Java and kinds of processor.
        values.put("Java and processor", Runtime.version() + " " + System.getProperty("os.arch"));
        values.put("device", kind(backend.description()));
        values.put("--method", job.options().method().label());
        values.put("--bits", String.valueOf(job.options().spec().bits()));
        values.put("--group-size", String.valueOf(job.options().spec().groupSize()));
        values.put("--max-shard-size", job.options().maxShardBytes() + " bytes");
        values.put("calibration", job.blocks().map(JobFingerprint::describe).orElse("none"));
        return Fingerprint.of(values, job.source());
    }

    /** A device's description without what may change: threads, the card's number, its free memory. */
    private static String kind(String description) {
        return description
                .replaceFirst(", \\d+ threads?$", "")
                .replaceFirst("^cuda:\\d+", "cuda")
                .replaceFirst(", [\\d.]+ GB free$", "");
    }

    private static String describe(TokenBlocks blocks) {
        return blocks.blocks().length + " blocks, " + blocks.tokens() + " of " + blocks.tokensFound() + " tokens, sha256 "
                + Quantizer.tokensSha256(blocks) + ", from " + blocks.description();
    }
}
