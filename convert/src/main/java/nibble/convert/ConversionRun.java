package nibble.convert;

import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.annotation.JsonTypeInfo;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.Fingerprint;
import nibble.checkpoint.safetensors.PlannedFile;
import nibble.checkpoint.safetensors.ShardedWriter;
import nibble.checkpoint.tensor.StoredTensor;
import nibble.convert.ConversionReport.Underflow;
import nibble.files.digest.Crc32c;
import nibble.files.output.FreeSpace;
import nibble.files.output.JournalFile;
import nibble.files.output.OutputException;
import nibble.files.output.ResumeException;
import nibble.files.output.StoppedException;
import nibble.files.output.UnfinishedOutput;

/**
 * Writes the items of a conversion in order, in a run that can be resumed ({@link ResumableRun}). A part of its journal
 * ends with a file of the output, or after {@link #PART_BYTES}; its line says which items, and the CRC-32C of their
 * bytes and sources.
 */
public final class ConversionRun {
    /** Syncing so much at a time costs little, and so much is soon made again. */
    private static final long PART_BYTES = 1L << 30;

    /** Source bytes that are hashed at a time. */
    private static final long CHUNK_BYTES = 8 << 20;

    /**
     * Holds tensors of the output that are made together.
     *
     * @param outputs their names; their bytes are written in this order
     * @param sources names of the tensors that they are made of
     * @param inputBytes bytes of those in their files
     */
    public record Item(List<String> outputs, List<String> sources, long inputBytes, Body body) {
        public Item {
            outputs = List.copyOf(outputs);
            sources = List.copyOf(sources);
        }
    }

    /** Makes an item's data. */
    public interface Body {
        /** Writes all of it; what was lost below fp16's normal range is the result. */
        List<Underflow> write(Sink to);
    }

    /** Takes the data of an item's tensors, in parts. */
    public interface Sink {
        void write(String tensor, MemorySegment part);
    }

    /**
     * Says what is to be made.
     *
     * @param index bytes of the safetensors index, if there is to be one
     * @param sideFiles writes all other files into the folder it is given; may find those of an earlier run there
     */
    public record Output(List<PlannedFile> files, Optional<byte[]> index, Consumer<Path> sideFiles) {}

    /** A line of the journal. */
    @JsonTypeInfo(use = JsonTypeInfo.Id.NAME, include = JsonTypeInfo.As.WRAPPER_OBJECT)
    @JsonSubTypes({
        @JsonSubTypes.Type(value = Entry.Start.class, name = "start"),
        @JsonSubTypes.Type(value = Entry.Part.class, name = "part")
    })
    sealed interface Entry {
        record Start(int journalFormat, Map<String, String> fingerprint) implements Entry, ResumableRun.Start {}

        /** Says that items {@code from} to {@code to} (exclusive) are durable. */
        record Part(int from, int to, String crc32c, String sourceCrc32c, List<Underflow> underflows)
                implements Entry {}
    }

    private final Checkpoint source;
    private final List<Item> items;
    private final ConversionOptions options;
    private final UnfinishedOutput output;
    private final JournalFile<Entry> journal;
    private final ShardedWriter writer;
    private int durable;

    private ConversionRun(
            Checkpoint source,
            List<Item> items,
            ConversionOptions options,
            UnfinishedOutput output,
            JournalFile<Entry> journal,
            ShardedWriter writer) {
        this.source = source;
        this.items = items;
        this.options = options;
        this.output = output;
        this.journal = journal;
        this.writer = writer;
    }

    /**
     * Makes the output, which appears whole or not at all.
     *
     * @return what was lost below fp16's normal range, of an earlier run's items too
     * @throws OutputException if the output is occupied, in use, larger than the disk, or unfinished and not to be
     *     resumed
     * @throws ResumeException if something that decides the bytes has changed since the unfinished run
     * @throws StoppedException if the stop signal was raised
     */
    public static List<Underflow> run(
            Checkpoint source, Fingerprint fingerprint, Output planned, List<Item> items, ConversionOptions options) {
        List<Item> made = switch (options.share()) {
            case ConversionShare.Whole _ -> items;
            case ConversionShare.Part(ConversionShare.Maker maker) -> {
                maker.make(items);
                yield List.of();
            }
            case ConversionShare.Assembly(ConversionShare.Supply supply) -> {
                supply.begin(items);
                yield supplied(items, supply);
            }
        };
        return options.share() instanceof ConversionShare.Part
                ? List.of()
                : ResumableRun.run(
                        options.out(),
                        options.resume(),
                        options.note(),
                        new Work(source, fingerprint, planned, made, options));
    }

    private static List<Item> supplied(List<Item> items, ConversionShare.Supply supply) {
        List<Item> supplied = new ArrayList<>();
        for (int i = 0; i < items.size(); i++) {
            Item item = items.get(i);
            int index = i;
            supplied.add(new Item(item.outputs(), item.sources(), item.inputBytes(), to -> supply.write(index, to)));
        }
        return supplied;
    }

    private record Work(
            Checkpoint source, Fingerprint fingerprint, Output planned, List<Item> items, ConversionOptions options)
            implements ResumableRun.Work<Entry, List<Underflow>> {
        @Override
        public Class<Entry> lines() {
            return Entry.class;
        }

        @Override
        public Entry start(int journalFormat, Map<String, String> values) {
            return new Entry.Start(journalFormat, values);
        }

        @Override
        public boolean isPart(Entry line) {
            return line instanceof Entry.Part;
        }

        @Override
        public List<Underflow> make(UnfinishedOutput output, JournalFile<Entry> journal, Entry start) {
            try (ShardedWriter writer = ShardedWriter.keeping(output.path(), planned.files(), planned.index())) {
                ConversionRun run = new ConversionRun(source, items, options, output, journal, writer);
                run.takeOver(start);
                run.write();
                writer.finish();
            }
            planned.sideFiles().accept(output.path());
            return finished(journal.entries());
        }

        @Override
        public String kept(int parts) {
            return "all durable tensors are safe in";
        }

        @Override
        public String nothingKept() {
            return "nothing durable was made yet, so nothing is kept";
        }

        @Override
        public List<Underflow> finished(List<Entry> journal) {
            List<Underflow> all = new ArrayList<>();
            for (Entry entry : journal) {
                if (entry instanceof Entry.Part part) {
                    all.addAll(part.underflows());
                }
            }
            return all;
        }
    }

    /** Believes what the checksums confirm, notes the rest, and leaves a journal of what is believed. */
    private void takeOver(Entry start) {
        List<Entry> kept = new ArrayList<>(List.of(start));
        for (Entry entry : journal.entries()) {
            if (!(entry instanceof Entry.Part part) || part.from() != durable || part.to() > items.size()) {
                continue;
            }
            List<Item> made = items.subList(part.from(), part.to());
            if (!outputCrc(made).equals(part.crc32c())) {
                options.note()
                        .accept("the unfinished output is damaged from "
                                + made.getFirst().outputs().getFirst() + " on; everything from there is made again");
                break;
            }
            requireUnchanged(made, part.sourceCrc32c());
            made.forEach(item -> writer.accept(item.outputs()));
            durable = part.to();
            kept.add(part);
        }
        if (options.resume()) {
            options.note()
                    .accept(
                            durable == 0
                                    ? "nothing to resume; starting from the beginning"
                                    : "resuming after " + durable + " of " + items.size() + " tensors");
        }
        FreeSpace.require(output.path(), writer.missingBytes());
        journal.replace(kept);
    }

    private String outputCrc(List<Item> made) {
        Crc32c crc = new Crc32c();
        made.forEach(item -> item.outputs().forEach(name -> writer.read(name, crc::add)));
        return crc.hex();
    }

    private void requireUnchanged(List<Item> made, String expected) {
        Crc32c crc = new Crc32c();
        made.forEach(item -> addSources(item, crc));
        String found = crc.hex();
        if (!found.equals(expected)) {
            throw new ResumeException(List.of("weights of "
                    + made.getFirst().outputs().getFirst() + " to "
                    + made.getLast().outputs().getLast() + ": found CRC-32C " + found + ", expected " + expected));
        }
    }

    private void addSources(Item item, Crc32c crc) {
        for (String name : item.sources()) {
            StoredTensor tensor = source.stored(name).orElseThrow();
            tensor.forEachPart(CHUNK_BYTES, crc::add);
        }
    }

    private void write() {
        long total = Math.max(1, items.stream().mapToLong(Item::inputBytes).sum());
        long done =
                items.subList(0, durable).stream().mapToLong(Item::inputBytes).sum();
        Crc32c crc = new Crc32c();
        Crc32c sourceCrc = new Crc32c();
        List<Underflow> lost = new ArrayList<>();
        long[] bytes = new long[1];
        for (int i = durable; i < items.size(); i++) {
            if (options.stop().raised()) {
                throw new StoppedException("interrupted");
            }
            Item item = items.get(i);
            lost.addAll(item.body().write((tensor, part) -> {
                writer.writePart(tensor, part);
                crc.add(part);
                bytes[0] += part.byteSize();
            }));
            addSources(item, sourceCrc);
            done += item.inputBytes();
            options.progress().accept((double) done / total);
            boolean fileEnds = i + 1 == items.size()
                    || writer.isFirstOfFile(items.get(i + 1).outputs().getFirst());
            if (fileEnds || bytes[0] >= PART_BYTES) {
                writer.force();
                journal.append(new Entry.Part(durable, i + 1, crc.hex(), sourceCrc.hex(), List.copyOf(lost)));
                durable = i + 1;
                bytes[0] = 0;
                lost.clear();
            }
        }
    }
}
