package nibble.calibrate.journal;

import java.util.LinkedHashMap;
import java.util.Map;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.QuantizationJob;
import nibble.checkpoint.Fingerprint;
import nibble.datasets.TokenBlocks;

/** Makes the {@link Fingerprint} of a quantization. The number of threads is not part of it. */
public final class JobFingerprint {
    private JobFingerprint() {}

    /**
     * Returns the fingerprint of a job.
     *
     * @param arithmetic of the devices, as {@link nibble.engine.backend.Backend#arithmetic} has it
     */
    public static Fingerprint of(QuantizationJob job, String arithmetic) {
        Map<String, String> values = new LinkedHashMap<>();
        // Elementary functions differ in the last digit between releases of Java and kinds of processor.
        values.put("Java and processor", Runtime.version() + " " + System.getProperty("os.arch"));
        values.put("device", arithmetic);
        values.put("--method", job.options().method().label());
        if (job.options().method() == Method.BEST) {
            values.put("--steps", String.valueOf(job.options().steps()));
            values.put("codes in these steps", job.options().movesCodes() ? "move" : "stay");
            values.put("tokens of a step", String.valueOf(job.options().best().tokensPerStep()));
            values.put("--fit-samples", String.valueOf(job.options().best().fitBlocks()));
        }
        values.put("--bits", String.valueOf(job.options().spec().bits()));
        values.put("--group-size", String.valueOf(job.options().spec().groupSize()));
        values.put("--symmetric", String.valueOf(job.options().spec().symmetric()));
        values.put(
                "--format",
                job.options().format().method() + " (" + job.options().format().version() + ")");
        values.put("--max-shard-size", job.options().maxShardBytes() + " bytes");
        values.put("calibration", job.blocks().map(JobFingerprint::describe).orElse("none"));
        return Fingerprint.of(values, job.source());
    }

    private static String describe(TokenBlocks blocks) {
        return blocks.blocks().length + " blocks, " + blocks.tokens() + " of " + blocks.tokensFound()
                + " tokens, sha256 " + QuantizationJob.tokensSha256(blocks) + ", from " + blocks.description();
    }
}
