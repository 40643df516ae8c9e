package nibble.checkpoint;

import java.util.Collection;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * Finds a second copy of a model's weights in a folder: Mistral publishes {@code consolidated.safetensors}, in names of
 * its own, beside the shards that loaders take. It is left alone where there are others.
 */
public final class SecondCopy {
    private static final Pattern NAME = Pattern.compile("consolidated[^/]*\\.safetensors");

    private SecondCopy() {}

    /**
     * Returns whether one file of a folder is such a copy.
     *
     * @param names all files of the folder
     */
    public static boolean is(String name, Collection<String> names) {
        return NAME.matcher(name).matches()
                && names.stream()
                        .anyMatch(other -> other.endsWith(".safetensors")
                                && !other.contains("/")
                                && !NAME.matcher(other).matches());
    }

    /** Returns the remark to make of it, if there is one. */
    public static Optional<String> remark(String name, Collection<String> names) {
        return is(name, names)
                ? Optional.of(
                        "is a second copy of the weights, which loaders of this layout leave alone; it doubles the"
                                + " download, remove it if nobody needs it")
                : Optional.empty();
    }
}
