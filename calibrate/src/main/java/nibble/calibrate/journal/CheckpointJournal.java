package nibble.calibrate.journal;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.stream.StreamFile;
import nibble.checkpoint.Fingerprint;
import nibble.convert.CheckpointPlan;
import nibble.convert.CheckpointWriter;
import nibble.engine.backend.QuantizationDevices;
import nibble.engine.backend.Workers;
import nibble.files.digest.Sha256;
import nibble.files.output.FreeSpace;
import nibble.files.output.JournalFile;
import nibble.files.output.OutputException;
import nibble.files.output.ResumeException;
import nibble.files.output.UnfinishedOutput;
import nibble.pack.layout.PackedTensor;
import org.jspecify.annotations.Nullable;

/**
 * The layers of an AWQ checkpoint on their way to the disk. A layer's tensors are written to their places in the shards and
 * synced, then its line is added to the journal and synced: so a line stands for data that are there. What is found of an
 * earlier run is believed as far as its hashes agree with the shards.
 */
public final class CheckpointJournal implements LayerJournal, AutoCloseable {
    static final int FORMAT = 1;

    /** The stream is saved when making it anew would take so many times as long as writing it at a slow disk's speed. */
    private static final double WORTH_SAVING = 10;

    private static final double SLOW_DISK_BYTES_PER_SECOND = 200e6;

    private final QuantizationJob job;
    private final CheckpointPlan plan;
    private final UnfinishedOutput output;
    private final JournalFile<JournalEntry> file;
    private final CheckpointWriter writer;
    private final List<Durable> durable = new ArrayList<>();
    private @Nullable SavedStream stream;
    private boolean committed;

    private CheckpointJournal(
            QuantizationJob job,
            CheckpointPlan plan,
            UnfinishedOutput output,
            JournalFile<JournalEntry> file,
            CheckpointWriter writer) {
        this.job = job;
        this.plan = plan;
        this.output = output;
        this.file = file;
        this.writer = writer;
    }

    /**
     * Begins a run or goes on with one.
     *
     * @param note told, in words, what was found of an earlier run
     * @throws OutputException if the output is occupied, locked, larger than the disk, or unfinished and not to be resumed
     * @throws ResumeException if something that decides the bytes has changed
     */
    public static CheckpointJournal open(
            QuantizationJob job,
            Path out,
            CheckpointPlan plan,
            QuantizationDevices devices,
            boolean resume,
            Consumer<String> note) {
        UnfinishedOutput output = UnfinishedOutput.open(out, resume);
        @Nullable CheckpointJournal journal = null;
        try {
            JournalFile<JournalEntry> file =
                    JournalFile.read(output.state().resolve(JournalFile.NAME), JournalEntry.class);
            Fingerprint fingerprint =
                    JobFingerprint.of(job, devices.members().getFirst().arithmetic());
            refuseOther(output.state(), fingerprint, file);
            CheckpointWriter writer = CheckpointWriter.keeping(job.source(), output.path(), plan);
            journal = new CheckpointJournal(job, plan, output, file, writer);
            journal.takeOver(new JournalEntry.Start(FORMAT, fingerprint.values()), note);
            return journal;
        } catch (RuntimeException | Error e) {
            if (journal != null) {
                journal.close();
            }
            boolean worthKeeping =
                    JournalFile.read(output.state().resolve(JournalFile.NAME), JournalEntry.class).entries().stream()
                            .anyMatch(JournalEntry.Layer.class::isInstance);
            if (worthKeeping || e instanceof ResumeException) {
                output.close();
            } else {
                output.discard();
            }
            throw e;
        }
    }

    private static void refuseOther(Path state, Fingerprint fingerprint, JournalFile<JournalEntry> file) {
        if (file.entries().isEmpty() || !(file.entries().getFirst() instanceof JournalEntry.Start start)) {
            return;
        }
        if (start.journalFormat() != FORMAT) {
            throw new ResumeException(
                    state, List.of("format of the journal: found " + start.journalFormat() + ", expected " + FORMAT));
        }
        List<String> differences = fingerprint.differencesFrom(new Fingerprint(start.fingerprint()));
        if (!differences.isEmpty()) {
            throw new ResumeException(state, differences);
        }
    }

    /** Believes what the hashes confirm, notes the rest, and leaves a journal of what is believed. */
    private void takeOver(JournalEntry.Start start, Consumer<String> note) {
        List<JournalEntry> found = file.entries();
        List<JournalEntry> kept = new ArrayList<>(List.of(start));
        boolean carried = false;
        int believed = job.options().method() == Method.BEST ? lastSavedStream(found) : Integer.MAX_VALUE;
        JournalEntry.@Nullable Stream lastStream = null;
        for (JournalEntry entry : found) {
            switch (entry) {
                case JournalEntry.Start _ -> {}
                case JournalEntry.Stream saved -> {
                    if (saved.layer() <= durable.size() && Files.exists(streamFile(saved.layer()))) {
                        lastStream = saved;
                    }
                }
                case JournalEntry.Outer outer -> {
                    if (agrees(plan.outerTensors(), outer.sha256())) {
                        refuseChangedOuter(outer);
                        kept.add(outer);
                        carried = true;
                    } else {
                        note.accept(
                                "the tensors beside the layers are damaged in the unfinished output and carried over"
                                        + " anew");
                    }
                }
                case JournalEntry.Layer layer when layer.layer() >= believed -> {}
                case JournalEntry.Layer layer -> {
                    if (layer.layer() == durable.size() && agrees(plan.layerTensors(layer.layer()), layer.sha256())) {
                        kept.add(layer);
                        durable.add(new Durable(layer.layer(), layer.sourceSha256(), layer.report()));
                    } else if (layer.layer() == durable.size()) {
                        note.accept("layer " + layer.layer()
                                + " is damaged in the unfinished output; all is done anew from there");
                    }
                }
            }
        }
        if (file.damaged()) {
            note.accept("the last line of the journal was not finished; its layer is done anew");
        }
        if (lastStream != null) {
            kept.add(lastStream);
            stream = new SavedStream(lastStream.layer(), streamFile(lastStream.layer()), lastStream.sha256());
        }
        deleteOtherStreams();
        FreeSpace.require(output.path(), writer.shards().missingBytes());
        file.replace(kept);
        if (!carried) {
            // First, so that a damaged embedding is found before hours of search.
            file.append(carryOuterTensors());
        }
    }

    /** The layer that the latest whole saved stream goes into; 0 if there is none. */
    private int lastSavedStream(List<JournalEntry> found) {
        int layer = 0;
        for (JournalEntry entry : found) {
            if (entry instanceof JournalEntry.Stream saved
                    && StreamFile.isWhole(streamFile(saved.layer()), saved.sha256())) {
                layer = saved.layer();
            }
        }
        return layer;
    }

    /** Streams that were being written when the earlier run ended, and those that nothing durable needs. */
    private void deleteOtherStreams() {
        for (int layer = 0; layer <= job.source().config().layers(); layer++) {
            if (stream == null || stream.layer() != layer) {
                try {
                    Files.deleteIfExists(streamFile(layer));
                } catch (IOException e) {
                    throw OutputException.of(streamFile(layer), "deleting", e);
                }
            }
        }
    }

    private Path streamFile(int layer) {
        return output.state().resolve("stream-into-layer-" + layer + ".f32");
    }

    private boolean agrees(List<String> tensors, String sha256) {
        if (!writer.shards().sha256(tensors).equals(sha256)) {
            return false;
        }
        writer.shards().accept(tensors);
        return true;
    }

    private void refuseChangedOuter(JournalEntry.Outer outer) {
        String source = outerSource();
        if (!source.equals(outer.sourceSha256())) {
            throw new ResumeException(
                    output.state(),
                    List.of("weights beside the layers (" + String.join(", ", plan.outerTensors()) + "): found sha256 "
                            + source + ", expected " + outer.sourceSha256()));
        }
    }

    private String outerSource() {
        try (Workers workers = new Workers(job.options().threads())) {
            return SourceDigest.of(job.source(), plan.outerTensors(), workers);
        }
    }

    private JournalEntry.Outer carryOuterTensors() {
        String sha256 = writer.carryOuterTensors();
        writer.shards().force();
        return new JournalEntry.Outer(sha256, outerSource());
    }

    @Override
    public synchronized List<Durable> durable() {
        return List.copyOf(durable);
    }

    /** The folder of the unfinished run. */
    public Path state() {
        return output.state();
    }

    @Override
    public void append(FinishedLayer layer) {
        Sha256 sha256 = new Sha256();
        List<String> names = plan.layerTensors(layer.layer());
        for (String name : names) {
            PackedTensor tensor = layer.tensors().stream()
                    .filter(candidate -> candidate.name().equals(name))
                    .findFirst()
                    .orElseThrow(
                            () -> new IllegalArgumentException("layer " + layer.layer() + " comes without " + name));
            writer.write(tensor);
            sha256.add(tensor.data());
        }
        writer.shards().force();
        file.append(new JournalEntry.Layer(layer.layer(), sha256.hex(), layer.sourceSha256(), layer.report()));
        synchronized (this) {
            durable.add(new Durable(layer.layer(), layer.sourceSha256(), layer.report()));
        }
    }

    @Override
    public Optional<SavedStream> savedStream() {
        return Optional.ofNullable(stream);
    }

    @Override
    public Optional<Path> fileForStream(int layer, long bytes, double forwardSeconds) {
        // The output goes before, all of it: its files have their length, but their blocks are taken as they are
        // written.
        boolean fits = FreeSpace.of(output.state()) > bytes + plan.shardBytes();
        return fits && forwardSeconds > WORTH_SAVING * bytes / SLOW_DISK_BYTES_PER_SECOND
                ? Optional.of(streamFile(layer))
                : Optional.empty();
    }

    @Override
    public void streamSaved(SavedStream saved) {
        @Nullable SavedStream before = stream;
        try {
            nibble.files.output.Durable.sync(output.state());
            file.append(new JournalEntry.Stream(saved.layer(), saved.sha256()));
            stream = saved;
            if (before != null && !before.file().equals(saved.file())) {
                Files.deleteIfExists(before.file());
            }
        } catch (IOException e) {
            throw OutputException.of(saved.file(), "saving the calibration stream", e);
        }
    }

    /** Completes the checkpoint with its report and gives it its name. */
    public void commit(QuantizationReport report) {
        writer.finish();
        Path path = output.path().resolve(QuantizationReport.FILE_NAME);
        try {
            Files.writeString(path, report.toReproducibleJson());
        } catch (IOException e) {
            throw OutputException.of(path, "writing", e);
        }
        close();
        output.commit();
        committed = true;
    }

    /** Ends the work here and lets other processes have the output; what is durable stays for a later run, or not. */
    public void end(boolean keep) {
        close();
        if (committed) {
            return;
        }
        if (keep) {
            output.close();
        } else {
            output.discard();
        }
    }

    @Override
    public void close() {
        file.close();
        writer.close();
    }
}
