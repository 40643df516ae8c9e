package nibble.calibrate.journal;

import com.fasterxml.jackson.annotation.JsonSubTypes;
import com.fasterxml.jackson.annotation.JsonTypeInfo;
import java.util.Map;
import nibble.calibrate.job.QuantizationReport;
import nibble.convert.ResumableRun;

/** A line of the journal. */
@JsonTypeInfo(use = JsonTypeInfo.Id.NAME, include = JsonTypeInfo.As.WRAPPER_OBJECT)
@JsonSubTypes({
    @JsonSubTypes.Type(value = JournalEntry.Start.class, name = "start"),
    @JsonSubTypes.Type(value = JournalEntry.Outer.class, name = "outer"),
    @JsonSubTypes.Type(value = JournalEntry.Layer.class, name = "layer"),
    @JsonSubTypes.Type(value = JournalEntry.Stream.class, name = "stream")
})
public sealed interface JournalEntry {
    /**
     * The first line: what the run makes.
     *
     * @param journalFormat of the lines that follow
     */
    record Start(int journalFormat, Map<String, String> fingerprint) implements JournalEntry, ResumableRun.Start {}

    /**
     * The tensors that are no part of a layer are durable.
     *
     * @param sha256 of their bytes in the output, in the order of its plan
     * @param sourceSha256 of the original ones
     */
    record Outer(String sha256, String sourceSha256) implements JournalEntry {}

    /** A layer is durable; hashes as for {@link Outer}. */
    record Layer(int layer, String sha256, String sourceSha256, QuantizationReport.Layer report)
            implements JournalEntry {}

    /** The calibration stream that goes into {@code layer} is durable in a file of its own. */
    record Stream(int layer, String sha256) implements JournalEntry {}
}
