package nibble.checkpoint.gguf;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nibble.checkpoint.source.BadCheckpointException;
import org.jspecify.annotations.Nullable;

/**
 * Holds the key-value pairs of a GGUF file, with typed reading.
 *
 * @param values a {@link Long}, {@link Double}, {@link Boolean}, {@link String} or {@link List} of these for each key
 */
public record GgufMetadata(Path file, Map<String, Object> values) {

    Optional<String> text(String key) {
        return value(key, String.class, "a text");
    }

    Optional<Boolean> flag(String key) {
        return value(key, Boolean.class, "true or false");
    }

    Optional<Long> integer(String key) {
        return value(key, Long.class, "a whole number");
    }

    Optional<Double> number(String key) {
        @Nullable Object found = values.get(key);
        return found instanceof Long whole ? Optional.of((double) whole) : value(key, Double.class, "a number");
    }

    /**
     * A number that may be given for each layer; empty where the key is absent.
     *
     * @throws BadCheckpointException if layers differ
     */
    Optional<Long> uniform(String key) {
        if (!(values.get(key) instanceof List<?>)) {
            return integer(key);
        }
        List<Long> ofLayers = list(key, Long.class);
        if (ofLayers.stream().distinct().count() != 1) {
            throw new BadCheckpointException(
                    file,
                    "metadata key " + key
                            + " differs from layer to layer, which is not supported; supported: all layers alike");
        }
        return Optional.of(ofLayers.getFirst());
    }

    long requiredUniform(String key) {
        return uniform(key).orElseThrow(() -> missing(key));
    }

    long requiredInteger(String key) {
        return integer(key).orElseThrow(() -> missing(key));
    }

    double requiredNumber(String key) {
        return number(key).orElseThrow(() -> missing(key));
    }

    /** Returns a list whose elements are all of one class; empty where the key is absent. */
    public <T> List<T> list(String key, Class<T> type) {
        @Nullable Object found = values.get(key);
        if (found == null) {
            return List.of();
        }
        if (!(found instanceof List<?> list)) {
            throw wrong(key, "a list of " + type.getSimpleName());
        }
        List<T> elements = new ArrayList<>(list.size());
        for (Object element : list) {
            if (!type.isInstance(element)) {
                throw wrong(key, "a list of " + type.getSimpleName());
            }
            elements.add(type.cast(element));
        }
        return Collections.unmodifiableList(elements);
    }

    private <T> Optional<T> value(String key, Class<T> type, String expected) {
        @Nullable Object found = values.get(key);
        if (found == null) {
            return Optional.empty();
        }
        if (!type.isInstance(found)) {
            throw wrong(key, expected);
        }
        return Optional.of(type.cast(found));
    }

    BadCheckpointException missing(String key) {
        return new BadCheckpointException(file, "metadata key " + key + " is missing; get the file again");
    }

    private BadCheckpointException wrong(String key, String expected) {
        return new BadCheckpointException(file, "metadata key " + key + " is not " + expected + "; get the file again");
    }
}
