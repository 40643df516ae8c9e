package nibble.calibrate;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import nibble.convert.BadCheckpointException;
import nibble.convert.Checkpoint;
import nibble.convert.Sha256;
import nibble.convert.SafetensorsFile;
import nibble.convert.Version;
import nibble.datasets.TokenBlocks;

/**
 * Everything that decides the output's bytes and can be told before the work, as names and values in words. The weights
 * themselves are hashed a layer at a time, by {@link SourceDigest}. The number of threads is not part of it.
 */
record JobFingerprint(Map<String, String> values) {

    /** @param arithmetic of the devices, as {@link nibble.engine.Backend#arithmetic} has it */
    static JobFingerprint of(QuantizationJob job, String arithmetic) {
        Map<String, String> values = new LinkedHashMap<>();
        values.put("Nibble's version", Version.NIBBLE);
        // Elementary functions differ in the last digit between releases of Java and kinds of processor.
        values.put("Java and processor", Runtime.version() + " " + System.getProperty("os.arch"));
        values.put("device", arithmetic);
        values.put("--method", job.options().method().label());
        values.put("--bits", String.valueOf(job.options().spec().bits()));
        values.put("--group-size", String.valueOf(job.options().spec().groupSize()));
        values.put("--max-shard-size", job.options().maxShardBytes() + " bytes");
        values.put("calibration", job.blocks().map(JobFingerprint::describe).orElse("none"));
        addFiles(job.source(), values);
        return new JobFingerprint(values);
    }

    private static String describe(TokenBlocks blocks) {
        return blocks.blocks().length + " blocks, " + blocks.tokens() + " of " + blocks.tokensFound() + " tokens, sha256 "
                + Quantizer.tokensSha256(blocks) + ", from " + blocks.description();
    }

    private static void addFiles(Checkpoint source, Map<String, String> values) {
        List<Path> whole = new ArrayList<>(source.sideFiles());
        whole.addFirst(source.folder().resolve("config.json"));
        Path file = source.folder();
        try {
            for (Path next : whole) {
                file = next;
                values.put(next.getFileName().toString(), Files.size(next) + " bytes, sha256 " + Sha256.of(next));
            }
            for (Path next : source.weightFiles()) {
                file = next;
                values.put(
                        next.getFileName().toString(),
                        Files.size(next) + " bytes, sha256 of the header " + SafetensorsFile.headerSha256(next));
            }
        } catch (IOException e) {
            throw new BadCheckpointException(file, "cannot be read: " + e.getMessage(), e);
        }
    }

    /** What differs from what an earlier run noted, a line each; empty where nothing does. */
    List<String> differencesFrom(JobFingerprint earlier) {
        Set<String> names = new LinkedHashSet<>(earlier.values.keySet());
        names.addAll(values.keySet());
        List<String> differences = new ArrayList<>();
        for (String name : names) {
            String found = values.getOrDefault(name, "absent");
            String expected = earlier.values.getOrDefault(name, "absent");
            if (!found.equals(expected)) {
                differences.add(name + ": found " + found + ", expected " + expected);
            }
        }
        return differences;
    }
}
