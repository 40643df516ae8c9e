package nibble.calibrate;

import com.fasterxml.jackson.core.JacksonException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import nibble.calibrate.job.ProgressListener;
import nibble.calibrate.job.QuantizationJob;
import nibble.calibrate.job.QuantizationReport;
import nibble.calibrate.job.UnusualErrorException;
import nibble.calibrate.journal.CheckpointJournal;
import nibble.calibrate.journal.JobFingerprint;
import nibble.calibrate.journal.JournalEntry;
import nibble.checkpoint.Fingerprint;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.convert.CheckpointPlan;
import nibble.convert.ResumableRun;
import nibble.files.Reasons;
import nibble.files.output.JournalFile;
import nibble.files.output.UnfinishedOutput;

/**
 * Makes the folder of a quantization, a layer at a time.
 *
 * @param arithmetic of the devices that make the layers
 */
record QuantizationRun(
        QuantizationJob job, Path out, boolean resume, String arithmetic, ProgressListener listener, Maker maker)
        implements ResumableRun.Work<JournalEntry, QuantizationReport> {
    /** Makes all of the output but the report. */
    @FunctionalInterface
    interface Maker {
        QuantizationReport make(CheckpointPlan plan, CheckpointJournal journal, UnfinishedOutput output);
    }

    @Override
    public Class<JournalEntry> lines() {
        return JournalEntry.class;
    }

    @Override
    public JournalEntry start(int journalFormat, Map<String, String> fingerprint) {
        return new JournalEntry.Start(journalFormat, fingerprint);
    }

    @Override
    public Fingerprint fingerprint() {
        return JobFingerprint.of(job, arithmetic);
    }

    @Override
    public boolean isPart(JournalEntry line) {
        return line instanceof JournalEntry.Layer;
    }

    @Override
    public QuantizationReport make(UnfinishedOutput output, JournalFile<JournalEntry> file, JournalEntry start) {
        CheckpointPlan plan = CheckpointPlan.of(
                job.source().config(),
                job.options().format(),
                job.options().spec(),
                job.options().maxShardBytes());
        try (CheckpointJournal journal = CheckpointJournal.open(job, plan, output, file, start, listener::note)) {
            if (resume) {
                int done = journal.durable().size();
                listener.note(
                        done == 0
                                ? "nothing to resume; starting from the beginning"
                                : "resuming after layer " + done + " of " + layers());
            }
            QuantizationReport report = maker.make(plan, journal, output);
            journal.finish(report);
            return report;
        } catch (UnusualErrorException e) {
            throw new UnusualErrorException(
                    e.getMessage() + ". Without --strict this is a warning; " + ResumableRun.kept(output, this));
        }
    }

    private int layers() {
        return job.source().config().layers();
    }

    @Override
    public String kept(int parts) {
        return parts + " of " + layers() + " layers are safe in";
    }

    @Override
    public String nothingKept() {
        return "no layer was finished, so nothing is kept";
    }

    @Override
    public QuantizationReport finished(List<JournalEntry> journal) {
        Path report = out.resolve(QuantizationReport.FILE_NAME);
        try {
            return QuantizationReport.of(Files.readString(report));
        } catch (JacksonException e) {
            throw new BadCheckpointException(report, "is not a quantization report: " + Reasons.of(e), e);
        } catch (IOException e) {
            throw new BadCheckpointException(report, "cannot be read: " + Reasons.of(e), e);
        }
    }
}
