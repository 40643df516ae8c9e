package nibble.checkpoint.gguf;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.SourceFile;

/**
 * Finds GGUF files that are one model together, named {@code STEM-00001-of-00003.gguf}: the first one has the metadata,
 * each its part of the tensors, and says which one it is ({@code split.no} from 0) of how many ({@code split.count}).
 */
public final class GgufSplit {
    private static final Pattern NAME = Pattern.compile("(.*)-(\\d{5})-of-(\\d{5})\\.gguf");

    private GgufSplit() {}

    /** Returns the name of the model that a file is or is a part of: without the part's number. */
    public static String model(String name) {
        return NAME.matcher(name).replaceFirst("$1.gguf");
    }

    /** Returns what the parts of one model have in common, the number of parts among it; else the name itself. */
    public static String set(String name) {
        return NAME.matcher(name).replaceFirst("$1 of $3");
    }

    /** Returns the first one's name, where all of {@code names} are files of one model. */
    public static Optional<String> first(List<String> names) {
        Set<String> sets = new HashSet<>();
        for (String name : names) {
            Matcher form = NAME.matcher(name);
            if (!form.matches()) {
                return Optional.empty();
            }
            sets.add(form.group(1) + "-00001-of-" + form.group(3) + ".gguf");
        }
        return sets.size() == 1 ? Optional.of(sets.iterator().next()) : Optional.empty();
    }

    /**
     * Returns the file and, if it is one of several, all of them, the first one first, whichever was asked for.
     *
     * @throws BadCheckpointException if one is missing, or they do not belong together
     */
    public static List<GgufFile> open(Path path, Arena arena) {
        GgufFile asked = GgufFile.open(path, arena);
        long count = asked.integer("split.count").orElse(1L);
        if (count <= 1) {
            return List.of(asked);
        }
        Matcher form = NAME.matcher(String.valueOf(path.getFileName()));
        if (!form.matches() || Integer.parseInt(form.group(3)) != count) {
            throw new BadCheckpointException(
                    path,
                    "is one of " + count + " split files by its split.count; expected a name as "
                            + "MODEL-00001-of-%05d.gguf; give the files the names they had"
                                    .formatted(Math.min(count, 99_999)));
        }
        List<GgufFile> files = new ArrayList<>();
        long tensors = 0;
        Set<String> names = new HashSet<>();
        for (int i = 0; i < count; i++) {
            Path part = path.resolveSibling("%s-%05d-of-%05d.gguf".formatted(form.group(1), i + 1, count));
            if (!SourceFile.isNamed(part)) {
                throw new BadCheckpointException(
                        part, "is missing, one of " + count + " files of this model; get it too");
            }
            GgufFile file = GgufFile.open(part, arena);
            if (file.integer("split.no").orElse(-1L) != i
                    || file.integer("split.count").orElse(-1L) != count) {
                throw new BadCheckpointException(
                        part,
                        "has split.no " + file.integer("split.no").orElse(-1L) + " of split.count "
                                + file.integer("split.count").orElse(-1L) + ", expected " + i + " of " + count
                                + "; get the files again");
            }
            for (String name : file.tensors().keySet()) {
                if (!names.add(name)) {
                    throw new BadCheckpointException(
                            part, "tensor " + name + " is in an earlier file too; get the files again");
                }
            }
            tensors += file.tensors().size();
            files.add(file);
        }
        long expected = files.getFirst().integer("split.tensors.count").orElse(tensors);
        if (tensors != expected) {
            throw new BadCheckpointException(
                    files.getFirst().path(),
                    "the " + count + " files have " + tensors + " tensors, split.tensors.count says " + expected
                            + "; get the files again");
        }
        return files;
    }
}
