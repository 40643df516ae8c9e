package nibble.eval.harness;

import java.util.List;
import java.util.Optional;

/**
 * Holds a group of tasks and what is averaged over them.
 *
 * @param alias the name in tables
 * @param members names of its tasks and groups, in order
 * @param tasks names of all tasks below it
 * @param averages what to average; empty for nothing
 * @param version as its file states it
 */
record TaskGroup(
        String name, String alias, List<String> members, List<String> tasks, List<Average> averages, Object version) {
    /**
     * A figure to average over tasks.
     *
     * @param filters of which responses; empty for all that the tasks have
     * @param bySize whether each document counts the same, rather than each task
     */
    record Average(String metric, Optional<List<String>> filters, boolean bySize) {}
}
