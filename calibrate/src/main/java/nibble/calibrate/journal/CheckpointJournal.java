package nibble.calibrate.journal;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import nibble.calibrate.job.Method;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.stream.StreamFile;
import nibble.checkpoint.Checkpoint;
import nibble.convert.CheckpointPlan;
import nibble.convert.CheckpointWriter;
import nibble.convert.TensorPatch;
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
 * Brings the layers of an AWQ checkpoint to the disk. A layer's tensors are written to their places in the shards and
 * synced, then its line is added to the journal and synced: so a line stands for data that are there. What is found of
 * an earlier run is believed as far as its hashes agree with the shards.
 */
public final class CheckpointJournal implements LayerJournal, AutoCloseable {
    /**
     * The stream is saved when making it anew would take so many times as long as writing it at a slow disk's speed.
     */
    private static final double WORTH_SAVING = 10;

    private static final double SLOW_DISK_BYTES_PER_SECOND = 200e6;

    private final QuantizationJob job;
    private final CheckpointPlan plan;
    private final UnfinishedOutput output;
    private final JournalFile<JournalEntry> file;
    private final CheckpointWriter writer;
    private final List<Durable> durable = new ArrayList<>();
    private final TensorPatch patch;
    private @Nullable SavedStream stream;
    private JournalEntry.@Nullable Tuned tuned;

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
        this.patch = new TensorPatch(output.state().resolve("tuned"));
    }

    /**
     * Takes over what an earlier run left, and leaves a journal of what the hashes confirm.
     *
     * @param output not closed
     * @param file not closed
     * @param note told, in words, what was found of an earlier run
     * @throws OutputException if the output is larger than the disk
     * @throws ResumeException if weights have changed
     */
    public static CheckpointJournal open(
            QuantizationJob job,
            CheckpointPlan plan,
            UnfinishedOutput output,
            JournalFile<JournalEntry> file,
            JournalEntry start,
            Consumer<String> note) {
        CheckpointWriter writer = CheckpointWriter.keeping(job.source(), output.path(), plan);
        CheckpointJournal journal = new CheckpointJournal(job, plan, output, file, writer);
        try {
            journal.takeOver(start, note);
            return journal;
        } catch (RuntimeException | Error e) {
            journal.close();
            throw e;
        }
    }

    /** Believes what the hashes confirm, notes the rest, and leaves a journal of what is believed. */
    private void takeOver(JournalEntry start, Consumer<String> note) {
        List<JournalEntry> found = file.entries();
        List<JournalEntry> kept = new ArrayList<>(List.of(start));
        boolean carried = false;
        tuned = wholeTuned(found);
        Set<String> changed = tuned == null || tuned.sha256().isEmpty() ? Set.of() : patch.names();
        int believed = job.options().method() == Method.BEST && !isComplete(found, changed)
                ? lastSavedStream(found)
                : Integer.MAX_VALUE;
        JournalEntry.@Nullable Stream lastStream = null;
        for (JournalEntry entry : found) {
            switch (entry) {
                case JournalEntry.Start _, JournalEntry.Tuned _ -> {}
                case JournalEntry.Stream saved -> {
                    if (saved.layer() <= durable.size() && Files.exists(streamFile(saved.layer()))) {
                        lastStream = saved;
                    }
                }
                case JournalEntry.Outer outer -> {
                    if (agrees(plan.outerTensors(), outerHash(outer), changed)) {
                        refuseChangedOuter(outer);
                        kept.add(outer);
                        carried = true;
                    } else {
                        note.accept("the tensors outside the layers are damaged in the unfinished output and are copied"
                                + " again");
                    }
                }
                case JournalEntry.Layer layer when layer.layer() >= believed -> {}
                case JournalEntry.Layer layer -> {
                    if (layer.layer() == durable.size()
                            && agrees(plan.layerTensors(layer.layer()), layerHash(layer), changed)) {
                        kept.add(layer);
                        durable.add(new Durable(layer.layer(), layer.sourceSha256(), layer.report()));
                    } else if (layer.layer() == durable.size()) {
                        note.accept("layer " + layer.layer()
                                + " is damaged in the unfinished output; everything from there is done again");
                    }
                }
            }
        }
        if (file.damaged()) {
            note.accept("the last line of the journal was not finished; its layer is done again");
        }
        if (tuned != null && durable.size() < job.source().config().layers()) {
            tuned = null;
        }
        if (tuned != null) {
            kept.add(tuned);
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

    /** The latest word on tuned tensors, if their file is whole. */
    private JournalEntry.@Nullable Tuned wholeTuned(List<JournalEntry> found) {
        JournalEntry.@Nullable Tuned last = null;
        for (JournalEntry entry : found) {
            if (entry instanceof JournalEntry.Tuned there
                    && (there.sha256().isEmpty() || StreamFile.isWhole(patch.file(), there.sha256()))) {
                last = there;
            }
        }
        return last;
    }

    /** Whether all layers are there, so that no stream is needed to make more. */
    private boolean isComplete(List<JournalEntry> found, Set<String> changed) {
        Set<Integer> whole = new HashSet<>();
        for (JournalEntry entry : found) {
            if (entry instanceof JournalEntry.Layer layer
                    && hash(plan.layerTensors(layer.layer()), changed).equals(layerHash(layer))) {
                whole.add(layer.layer());
            }
        }
        return whole.size() == job.source().config().layers();
    }

    /** What the tensors of a layer must have, apart from those that tuning changes. */
    private String layerHash(JournalEntry.Layer layer) {
        return tuned == null ? layer.sha256() : tuned.layers().get(layer.layer());
    }

    private String outerHash(JournalEntry.Outer outer) {
        return tuned == null ? outer.sha256() : tuned.outer();
    }

    private String hash(List<String> tensors, Set<String> changed) {
        return writer.shards()
                .sha256(tensors.stream().filter(name -> !changed.contains(name)).toList());
    }

    private boolean agrees(List<String> tensors, String sha256, Set<String> changed) {
        if (!hash(tensors, changed).equals(sha256)) {
            return false;
        }
        writer.shards().accept(tensors);
        return true;
    }

    private void refuseChangedOuter(JournalEntry.Outer outer) {
        String source = outerSource();
        if (!source.equals(outer.sourceSha256())) {
            throw new ResumeException(List.of("weights outside the layers (" + String.join(", ", plan.outerTensors())
                    + "): found sha256 " + source + ", expected " + outer.sourceSha256()));
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

    /** Gives the checkpoint's files their names; what follows is tuning, if any, and the report. */
    public void finishFiles() {
        writer.finish();
    }

    /** Returns the result of tuning in an earlier run. */
    public Optional<JournalEntry.Tuned> tuned() {
        return Optional.ofNullable(tuned);
    }

    /** Returns the patch that holds what tuning changes. */
    public TensorPatch patch() {
        return patch;
    }

    /**
     * Takes note of what tuning came to.
     *
     * @param checkpoint the files as they are before any tensor is changed
     * @param changed names of the tensors that the patch has; none where nothing is to be changed
     */
    public void tuned(Checkpoint checkpoint, Set<String> changed, QuantizationReport.@Nullable Tuning report) {
        List<String> layers = new ArrayList<>();
        for (int layer = 0; layer < job.source().config().layers(); layer++) {
            layers.add(hash(checkpoint, plan.layerTensors(layer), changed));
        }
        try {
            String sha256 = changed.isEmpty() ? "" : Sha256.of(patch.file());
            nibble.files.output.Durable.sync(output.state());
            JournalEntry.Tuned entry =
                    new JournalEntry.Tuned(sha256, hash(checkpoint, plan.outerTensors(), changed), layers, report);
            file.append(entry);
            tuned = entry;
        } catch (IOException e) {
            throw OutputException.of(patch.file(), "saving the tuned tensors", e);
        }
    }

    private static String hash(Checkpoint checkpoint, List<String> tensors, Set<String> changed) {
        Sha256 sha256 = new Sha256();
        tensors.stream()
                .filter(name -> !changed.contains(name))
                .forEach(name -> sha256.add(checkpoint.tensor(name).data()));
        return sha256.hex();
    }

    /** Completes the checkpoint with its report. */
    public void finish(QuantizationReport report) {
        Path path = output.path().resolve(QuantizationReport.FILE_NAME);
        try {
            Files.writeString(path, report.toReproducibleJson());
        } catch (IOException e) {
            throw OutputException.of(path, "writing", e);
        }
    }

    @Override
    public void close() {
        writer.close();
    }
}
