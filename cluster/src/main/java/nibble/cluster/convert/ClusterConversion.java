package nibble.cluster.convert;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.Fingerprint;
import nibble.cluster.shared.SharedFolder;
import nibble.cluster.spark.Cluster;
import nibble.convert.ConversionOptions;
import nibble.convert.ConversionReport;
import nibble.convert.ConversionReport.Underflow;
import nibble.convert.ConversionRun.Item;
import nibble.convert.ConversionRun.Sink;
import nibble.convert.ConversionShare;
import nibble.convert.ItemStream;
import nibble.files.Reasons;
import nibble.files.output.StopSignal;
import nibble.files.output.StoppedException;
import org.jspecify.annotations.Nullable;

/**
 * Converts a checkpoint over several hosts: executors make ranges of its tensors, of about equal bytes, and the driver
 * writes them to their places in order. The output is that of one machine.
 */
public final class ClusterConversion implements ConversionShare.Supply, AutoCloseable {
    private static final int EACH = 4;
    private static final int POLL_MILLIS = 50;

    private final Cluster cluster;
    private final PartTask task;
    private final StopSignal stop;
    private final Map<Integer, Boolean> done = new ConcurrentHashMap<>();
    private List<Item> items = List.of();
    private List<PartTask.Range> ranges = List.of();
    private volatile @Nullable RuntimeException failure;
    private @Nullable Thread thread;
    private @Nullable InputStream opened;
    private @Nullable ItemStream stream;
    private int range;

    private ClusterConversion(Cluster cluster, PartTask task, StopSignal stop) {
        this.cluster = cluster;
        this.task = task;
        this.stop = stop;
    }

    /**
     * Converts a model into the folder of the options, as one machine does.
     *
     * @param shared URI of a folder that all hosts see, for what executors make meanwhile
     */
    public static ConversionReport convert(
            Cluster cluster, ConversionRequest request, Checkpoint source, String shared, ConversionOptions options) {
        SharedFolder folder = new SharedFolder(shared);
        folder.deleteAll();
        folder.make();
        PartTask task = new PartTask(
                request,
                options.maxShardBytes(),
                folder,
                Map.copyOf(Fingerprint.of(Map.of(), source).values()));
        try (ClusterConversion conversion = new ClusterConversion(cluster, task, options.stop())) {
            return request.run(source, options.with(new ConversionShare.Assembly(conversion)));
        } finally {
            folder.deleteAll();
        }
    }

    @Override
    public void begin(List<Item> all) {
        items = all;
    }

    /** Ranges from the first item that is wanted on, of about equal bytes. */
    private void start(int first) {
        long bytes = 0;
        for (Item item : items.subList(first, items.size())) {
            bytes += item.inputBytes();
        }
        long each = Math.max(1, bytes / ((long) cluster.slots() * EACH));
        List<PartTask.Range> found = new ArrayList<>();
        int from = first;
        long sum = 0;
        for (int i = first; i < items.size(); i++) {
            sum += items.get(i).inputBytes();
            if (sum >= each || i + 1 == items.size()) {
                found.add(new PartTask.Range(from, i + 1));
                from = i + 1;
                sum = 0;
            }
        }
        ranges = List.copyOf(found);
        thread = Thread.ofVirtual().start(() -> {
            try {
                cluster.run("tensors of " + task.request().model(), ranges, task, (index, _) -> done.put(index, true));
            } catch (RuntimeException e) {
                failure = e;
            }
        });
    }

    @Override
    public List<Underflow> write(int item, Sink to) {
        if (ranges.isEmpty()) {
            start(item);
        }
        PartTask.Range now = ranges.get(range);
        try {
            if (stream == null) {
                await(range);
                opened = task.shared().open(now.file());
                stream = new ItemStream(opened);
            }
            List<Underflow> lost = stream.read(items.get(item), to);
            if (item + 1 == now.to()) {
                stream.end();
                closeStream();
                task.shared().delete(now.file());
                range++;
            }
            return lost;
        } catch (IOException e) {
            throw new UncheckedIOException(
                    task.shared().uri() + "/" + now.file() + ": cannot be read: " + Reasons.of(e), e);
        }
    }

    private void await(int index) {
        while (!done.containsKey(index)) {
            if (failure != null) {
                throw Objects.requireNonNull(failure);
            }
            if (stop.raised()) {
                throw new StoppedException("interrupted");
            }
            try {
                Thread.sleep(POLL_MILLIS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new StoppedException("interrupted while the cluster worked");
            }
        }
    }

    private void closeStream() throws IOException {
        if (opened != null) {
            opened.close();
        }
        opened = null;
        stream = null;
    }

    @Override
    public void close() {
        try {
            closeStream();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } finally {
            if (thread != null) {
                thread.interrupt();
            }
        }
    }
}
