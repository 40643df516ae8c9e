package nibble.cluster.spark;

import java.io.Serializable;
import org.jspecify.annotations.Nullable;

/**
 * Holds what a task came to: its result, or the words of an error that every other attempt would meet too.
 *
 * @param <R> the result's type
 */
record Outcome<R>(@Nullable R result, @Nullable String error) implements Serializable {}
