package nibble.checkpoint.safetensors;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import nibble.files.digest.Sha256;
import nibble.files.output.Durable;
import nibble.files.output.FreeSpace;
import nibble.files.output.OutputException;
import org.jspecify.annotations.Nullable;

/**
 * Writes files of tensors as planned, as the shards of a {@link ShardPlan}, tensors in any order, from one thread at a
 * time. Owns its files until
 * {@link #finish}: under temporary names, at full length from the start. Closing without finishing deletes them, unless
 * they are kept for a later process ({@link #keeping}).
 */
public final class ShardedWriter implements AutoCloseable {
    private static final class OpenShard {
        final PlannedFile file;
        final Path partial;
        int missing;
        /** Open from the first tensor written to the last, which is when it is synced at the latest. */
        @Nullable
        FileChannel channel;

        boolean unsynced;

        OpenShard(PlannedFile file, Path partial) {
            this.file = file;
            this.partial = partial;
            this.missing = file.slots().size();
        }
    }

    /** Where a tensor lies and how much of it is written. */
    private static final class Place {
        final OpenShard shard;
        final PlannedFile.Slot slot;
        long written;

        Place(OpenShard shard, PlannedFile.Slot slot) {
            this.shard = shard;
            this.slot = slot;
        }
    }

    private final Path folder;
    private final List<PlannedFile> plan;
    private final Optional<byte[]> index;
    private final boolean keep;
    private final List<OpenShard> shards = new ArrayList<>();
    private final Map<String, Place> unwritten = new HashMap<>();
    private final List<Path> renamed = new ArrayList<>();
    private final SegmentWriter segments = new SegmentWriter();
    private boolean finished;

    /**
     * Creates the shards' files in {@code folder}, which exists.
     *
     * @throws OutputException if the disk has not enough space for the plan or refuses
     */
    public ShardedWriter(Path folder, ShardPlan plan) {
        this(folder, plan.files(), plan.indexBytes(), false);
    }

    private ShardedWriter(Path folder, List<PlannedFile> plan, Optional<byte[]> index, boolean keep) {
        this.folder = folder;
        this.plan = plan;
        this.index = index;
        this.keep = keep;
        try {
            if (!keep) {
                FreeSpace.require(
                        folder, plan.stream().mapToLong(PlannedFile::bytes).sum());
            }
            for (PlannedFile file : this.plan) {
                open(file);
            }
            if (keep) {
                Durable.sync(folder);
            }
        } catch (IOException e) {
            close();
            throw OutputException.of(folder, "creating the files", e);
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    /**
     * Opens a writer whose files stay when it is closed, so that a later writer can continue them. It keeps files of
     * the planned length and header, and creates the others again. All tensors count as not written until
     * {@link #accept} says otherwise; space is for the caller to check, by {@link #missingBytes}.
     *
     * @throws OutputException if the disk refuses
     */
    public static ShardedWriter keeping(Path folder, ShardPlan plan) {
        return keeping(folder, plan.files(), plan.indexBytes());
    }

    /** Opens a writer for files of any format; otherwise like {@link #keeping(Path, ShardPlan)}. */
    public static ShardedWriter keeping(Path folder, List<PlannedFile> files, Optional<byte[]> index) {
        return new ShardedWriter(folder, files, index, true);
    }

    /**
     * Returns a writer of one file, which on {@link #finish} takes the place of one of its name.
     *
     * @throws OutputException if the disk has not enough space or refuses
     */
    public static ShardedWriter replacing(Path folder, PlannedFile file) {
        try {
            Files.deleteIfExists(folder.resolve("." + file.name() + ".partial"));
        } catch (IOException e) {
            throw OutputException.of(folder.resolve(file.name()), "removing the rest of an earlier run", e);
        }
        return new ShardedWriter(folder, List.of(file), Optional.empty(), false);
    }

    /** Returns the bytes of the tensors that are not written. */
    public long missingBytes() {
        return unwritten.values().stream()
                .mapToLong(place -> place.slot.bytes())
                .sum();
    }

    /**
     * Hashes the bytes that the files hold now for these tensors, one after the other.
     *
     * @throws OutputException if they cannot be read
     */
    public String sha256(List<String> names) {
        Sha256 sha256 = new Sha256();
        names.forEach(name -> read(name, sha256::add));
        return sha256.hex();
    }

    /**
     * Shows the bytes that the files hold now for a tensor.
     *
     * @throws OutputException if they cannot be read
     */
    public void read(String name, Consumer<MemorySegment> reader) {
        Place place = place(name);
        try (Arena arena = Arena.ofConfined();
                FileChannel channel = FileChannel.open(place.shard.partial, StandardOpenOption.READ)) {
            reader.accept(channel.map(FileChannel.MapMode.READ_ONLY, place.slot.offset(), place.slot.bytes(), arena));
        } catch (IOException e) {
            throw OutputException.of(place.shard.partial, "reading tensor " + name, e);
        }
    }

    /** Returns whether an unwritten tensor is the first one of its file. */
    public boolean isFirstOfFile(String name) {
        Place place = place(name);
        return place.slot.equals(place.shard.file.slots().getFirst());
    }

    /** Counts tensors as written, as their bytes are known to be in the files, durably. */
    public void accept(List<String> names) {
        for (String name : names) {
            place(name).shard.missing--;
            unwritten.remove(name);
        }
    }

    private Place place(String name) {
        Place place = unwritten.get(name);
        if (place == null) {
            throw new IllegalArgumentException("tensor " + name + " is not in the plan or was written before");
        }
        return place;
    }

    /** The file, taken over from an earlier writer or made. */
    private void open(PlannedFile file) {
        Path partial = folder.resolve("." + file.name() + ".partial");
        try {
            if (keep) {
                Path named = folder.resolve(file.name());
                if (Files.exists(named)) {
                    // The earlier one was ended while it gave the finished files their names.
                    Files.move(named, partial, StandardCopyOption.ATOMIC_MOVE);
                }
                if (isOf(file, partial)) {
                    add(new OpenShard(file, partial));
                    return;
                }
                Files.deleteIfExists(partial);
            }
        } catch (IOException e) {
            throw OutputException.of(partial, "taking over the file", e);
        }
        create(file, partial);
    }

    private static boolean isOf(PlannedFile file, Path partial) throws IOException {
        if (!Files.exists(partial) || Files.size(partial) != file.bytes()) {
            return false;
        }
        try (var in = Files.newInputStream(partial)) {
            return Arrays.equals(file.header(), in.readNBytes(file.header().length));
        }
    }

    private void create(PlannedFile file, Path partial) {
        try (FileChannel channel = FileChannel.open(partial, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            add(new OpenShard(file, partial));
            SegmentWriter.writeFully(channel, ByteBuffer.wrap(file.header()), 0);
            if (file.bytes() > file.header().length) {
                SegmentWriter.writeFully(channel, ByteBuffer.wrap(new byte[1]), file.bytes() - 1);
            }
        } catch (IOException e) {
            throw OutputException.of(partial, "creating the file", e);
        }
    }

    private void add(OpenShard open) {
        shards.add(open);
        for (PlannedFile.Slot slot : open.file.slots()) {
            unwritten.put(slot.tensor(), new Place(open, slot));
        }
    }

    /**
     * Writes one tensor.
     *
     * @param data its little-endian elements, exactly as many bytes as planned; native memory or an array's
     * @throws IllegalArgumentException if the tensor is not in the plan, was written before, or has another size
     * @throws OutputException if the disk is full or refuses
     */
    public void write(String name, MemorySegment data) {
        Place place = place(name);
        if (data.byteSize() != place.slot.bytes()) {
            throw new IllegalArgumentException("tensor " + name + ": " + data.byteSize() + " bytes given, "
                    + place.slot.form() + " takes " + place.slot.bytes());
        }
        writePart(name, data);
    }

    /**
     * Writes the next part of a tensor, whose parts come in order; the tensor counts as written with the last one.
     *
     * @param data native memory or an array's
     * @throws IllegalArgumentException if the tensor is not in the plan, is whole already, or has no room for so much
     * @throws OutputException if the disk is full or refuses
     */
    public void writePart(String name, MemorySegment data) {
        if (finished) {
            throw new IllegalStateException("tensor " + name + " written after finish()");
        }
        Place place = place(name);
        if (data.byteSize() > place.slot.bytes() - place.written) {
            throw new IllegalArgumentException("tensor " + name + ": " + (place.written + data.byteSize())
                    + " bytes given, " + place.slot.form() + " takes " + place.slot.bytes());
        }
        OpenShard shard = place.shard;
        try {
            FileChannel channel = shard.channel;
            if (channel == null) {
                channel = FileChannel.open(shard.partial, StandardOpenOption.WRITE);
                shard.channel = channel;
            }
            shard.unsynced = true;
            segments.write(data, channel, place.slot.offset() + place.written);
            place.written += data.byteSize();
            if (place.written < place.slot.bytes()) {
                return;
            }
            unwritten.remove(name);
            if (--shard.missing == 0) {
                sync(shard);
                channel.close();
                shard.channel = null;
            }
        } catch (IOException e) {
            throw OutputException.of(shard.partial, "writing tensor " + name, e);
        }
    }

    /**
     * Makes all that was written durable.
     *
     * @throws OutputException if the disk is full or refuses
     */
    public void force() {
        for (OpenShard shard : shards) {
            try {
                sync(shard);
            } catch (IOException e) {
                throw OutputException.of(shard.partial, "writing to the disk", e);
            }
        }
    }

    private static void sync(OpenShard shard) throws IOException {
        if (shard.unsynced && shard.channel != null) {
            shard.channel.force(true);
            shard.unsynced = false;
        }
    }

    /**
     * Makes the files durable and gives them their names, the index last.
     *
     * @throws IllegalStateException if a tensor of the plan was not written
     * @throws OutputException if the disk is full or refuses
     */
    public void finish() {
        if (finished) {
            return;
        }
        if (!unwritten.isEmpty()) {
            throw new IllegalStateException(unwritten.size() + " tensors were not written, among them "
                    + unwritten.keySet().stream().sorted().findFirst().orElseThrow());
        }
        try {
            for (OpenShard shard : shards) {
                if (keep || shard.file.slots().isEmpty()) {
                    Durable.sync(shard.partial);
                }
                rename(shard.partial, shard.file.name());
            }
            // The shards' names must be durable before an index that relies on them.
            Durable.sync(folder);
            if (index.isPresent()) {
                Path partial = folder.resolve("." + SafetensorsIndex.FILE_NAME + ".partial");
                renamed.add(partial);
                Files.write(partial, index.get());
                Durable.sync(partial);
                rename(partial, SafetensorsIndex.FILE_NAME);
                Durable.sync(folder);
            }
        } catch (IOException e) {
            throw OutputException.of(folder, "finishing the checkpoint's files", e);
        }
        finished = true;
    }

    private void rename(Path partial, String name) throws IOException {
        Path target = folder.resolve(name);
        Files.move(partial, target, StandardCopyOption.ATOMIC_MOVE);
        renamed.add(target);
    }

    /** Deletes what was written unless {@link #finish} was reached or it is to be kept. */
    @Override
    public void close() {
        for (OpenShard shard : shards) {
            try (FileChannel _ = shard.channel) {
                if (!finished && !keep) {
                    Files.deleteIfExists(shard.partial);
                }
            } catch (IOException e) {
                throw OutputException.of(shard.partial, "removing the unfinished file", e);
            } finally {
                shard.channel = null;
            }
        }
        if (!finished && !keep) {
            for (Path path : renamed) {
                try {
                    Files.deleteIfExists(path);
                } catch (IOException e) {
                    throw OutputException.of(path, "removing the unfinished file", e);
                }
            }
        }
    }
}
