package nibble.calibrate.journal;

import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.annotation.JsonTypeInfo;
import java.util.List;
import java.util.Map;
import nibble.calibrate.job.QuantizationReport;
import nibble.convert.ResumableRun;
import org.jspecify.annotations.Nullable;

/** Holds a line of the journal. */
@JsonTypeInfo(use = JsonTypeInfo.Id.NAME, include = JsonTypeInfo.As.WRAPPER_OBJECT)
@JsonSubTypes({
    @JsonSubTypes.Type(value = JournalEntry.Start.class, name = "start"),
    @JsonSubTypes.Type(value = JournalEntry.Outer.class, name = "outer"),
    @JsonSubTypes.Type(value = JournalEntry.Layer.class, name = "layer"),
    @JsonSubTypes.Type(value = JournalEntry.Stream.class, name = "stream"),
    @JsonSubTypes.Type(value = JournalEntry.Tuned.class, name = "tuned")
})
public sealed interface JournalEntry {
    /**
     * Begins a journal: what the run makes.
     *
     * @param journalFormat of the lines that follow
     */
    record Start(int journalFormat, Map<String, String> fingerprint) implements JournalEntry, ResumableRun.Start {}

    /**
     * Says that the tensors that are no part of a layer are durable.
     *
     * @param sha256 of their bytes in the output, in the order of its plan
     * @param sourceSha256 of the original ones
     */
    record Outer(String sha256, String sourceSha256) implements JournalEntry {}

    /** Says that a layer is durable; hashes as for {@link Outer}. */
    record Layer(int layer, String sha256, String sourceSha256, QuantizationReport.Layer report)
            implements JournalEntry {}

    /** Says that the calibration stream that goes into {@code layer} is durable in a file of its own. */
    record Stream(int layer, String sha256) implements JournalEntry {}

    /**
     * Says that the tuned tensors are durable in a file of their own; from here on they may stand in the shards.
     *
     * @param sha256 of that file; empty where nothing is changed
     * @param outer hash of the tensors outside the layers that tuning leaves as they are
     * @param layers the same of each layer
     */
    record Tuned(String sha256, String outer, List<String> layers, QuantizationReport.@Nullable Tuning report)
            implements JournalEntry {
        public Tuned {
            layers = List.copyOf(layers);
        }
    }
}
