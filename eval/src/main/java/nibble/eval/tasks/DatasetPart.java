package nibble.eval.tasks;

import org.jspecify.annotations.Nullable;

/**
 * Names the documents of a task.
 *
 * @param name the data set and its part, as {@code ARC-Challenge test}
 * @param source {@code bundled}, or the file it was read from
 * @param sha256 of the source's bytes as they were before any compression, lower-case hex
 * @param documents how many it has
 * @param partOf how many the published part has, where these are only some of them
 */
public record DatasetPart(
        String name,
        String source,
        String sha256,
        int documents,
        @Nullable Integer partOf) {}
