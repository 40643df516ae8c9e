package nibble.checkpoint;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import nibble.checkpoint.safetensors.SafetensorsFile;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.files.Reasons;
import nibble.files.Version;
import nibble.files.digest.Sha256;

/**
 * Holds everything that decides an output's bytes and can be told before the work, as names and values in words. The
 * weights themselves are hashed as they are read, not here.
 */
public record Fingerprint(Map<String, String> values) {
    /**
     * Returns the given options first, then the files of {@code source}: small ones by content, weights by size and
     * header.
     */
    public static Fingerprint of(Map<String, String> options, Checkpoint source) {
        Map<String, String> values = new LinkedHashMap<>();
        values.put("Nibble's version", Version.NIBBLE);
        values.putAll(options);
        addFiles(source, values);
        return new Fingerprint(values);
    }

    private static void addFiles(Checkpoint source, Map<String, String> values) {
        List<Path> whole = new ArrayList<>(source.sideFiles());
        for (String config : List.of("config.json", MetaFolder.PARAMS)) {
            if (Files.exists(source.folder().resolve(config))) {
                whole.addFirst(source.folder().resolve(config));
            }
        }
        Path file = source.folder();
        try {
            for (Path next : whole) {
                file = next;
                values.put(
                        SideFiles.name(source.folder(), next), Files.size(next) + " bytes, sha256 " + Sha256.of(next));
            }
            for (Path next : source.weightFiles()) {
                file = next;
                String header = next.toString().endsWith(".safetensors")
                        ? ", sha256 of the header " + SafetensorsFile.headerSha256(next)
                        : "";
                values.put(next.getFileName().toString(), Files.size(next) + " bytes" + header);
            }
        } catch (IOException e) {
            throw new BadCheckpointException(file, "cannot be read: " + Reasons.of(e), e);
        }
    }

    /** Returns the differences from what an earlier run noted, a line each; empty where nothing does. */
    public List<String> differencesFrom(Fingerprint earlier) {
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
