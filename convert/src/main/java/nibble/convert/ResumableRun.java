package nibble.convert;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import nibble.checkpoint.Fingerprint;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.files.output.JournalFile;
import nibble.files.output.OutputException;
import nibble.files.output.ResumeException;
import nibble.files.output.StoppedException;
import nibble.files.output.UnfinishedOutput;

/**
 * Runs what makes a folder, which appears whole or not at all, and can be resumed by a later run:
 *
 * <pre>
 *  .OUT.unfinished/journal.jsonl    what the run makes, then a line for each part of the output that is durable
 *  .OUT.unfinished/output/          becomes OUT
 * </pre>
 *
 * <p>Nothing is left behind of a run that failed before its first part was durable, or for a bad source.
 */
public final class ResumableRun {
    private static final int FORMAT = 1;

    private ResumableRun() {}

    /** Holds the first line of a journal: what the run makes. */
    public interface Start {
        int journalFormat();

        /** Returns the values of a {@link Fingerprint}. */
        Map<String, String> fingerprint();
    }

    /**
     * Does the work of a run.
     *
     * @param <E> lines of its journal, one of which is a {@link Start}
     * @param <R> its result
     */
    public interface Work<E, R> {
        /** Returns the type of the journal's lines. */
        Class<E> lines();

        /** Returns everything that decides the output's bytes and can be told before the work. */
        Fingerprint fingerprint();

        /** Returns the first line: a {@link Start}. */
        E start(int journalFormat, Map<String, String> fingerprint);

        /** Returns whether a line stands for a part that is worth keeping. */
        boolean isPart(E line);

        /**
         * Makes everything below {@code output.path()}, where an earlier run may have made some of it.
         *
         * @param journal lines of an earlier run, or none; replaced with those that are confirmed, {@code start} first
         */
        R make(UnfinishedOutput output, JournalFile<E> journal, E start);

        /**
         * Says what is kept of a stopped run, as "3 of 30 layers are safe in"; the folder follows.
         *
         * @param parts how many there are, more than 0
         */
        String kept(int parts);

        /** Says that nothing is kept of a stopped run. */
        String nothingKept();

        /** Returns the result of an earlier run that finished the output and had no time to say so. */
        R finished(List<E> journal);
    }

    /**
     * Makes the folder {@code out}.
     *
     * @param out must not exist yet, or be empty
     * @param resume whether to resume an unfinished run; without one, this begins from the beginning
     * @param note told, in words, what was found of an earlier run
     * @throws OutputException if the output is occupied, in use, larger than the disk, or unfinished and not to be
     *     resumed
     * @throws ResumeException if something that decides the bytes has changed since the unfinished run
     * @throws StoppedException if the work was told to stop
     */
    public static <E, R> R run(Path out, boolean resume, Consumer<String> note, Work<E, R> work) {
        if (resume) {
            // Read first: the rest of a finished run is its journal too.
            List<E> lines = JournalFile.read(UnfinishedOutput.journalOf(out), work.lines())
                    .entries();
            if (UnfinishedOutput.removeRestOfFinished(out)) {
                note.accept("the output was finished already");
                return work.finished(lines);
            }
        }
        Fingerprint fingerprint = work.fingerprint();
        UnfinishedOutput output = UnfinishedOutput.open(out, resume);
        boolean committed = false;
        boolean keep = false;
        try (JournalFile<E> journal = JournalFile.read(output.journal(), work.lines())) {
            requireSame(fingerprint, journal.entries());
            R result = work.make(output, journal, work.start(FORMAT, fingerprint.values()));
            journal.close();
            output.commit();
            committed = true;
            return result;
        } catch (ResumeException e) {
            keep = true;
            throw new ResumeException(output.state(), e.differences());
        } catch (BadCheckpointException e) {
            throw e;
        } catch (StoppedException e) {
            keep = parts(output, work) > 0;
            throw new StoppedException("interrupted; " + kept(output, work));
        } catch (OutputException e) {
            keep = parts(output, work) > 0;
            throw keep ? new OutputException(e, kept(output, work)) : e;
        } catch (RuntimeException | Error e) {
            keep = parts(output, work) > 0;
            throw e;
        } finally {
            if (!committed && keep) {
                output.close();
            } else if (!committed) {
                output.discard();
            }
        }
    }

    private static <E> void requireSame(Fingerprint fingerprint, List<E> lines) {
        if (lines.isEmpty() || !(lines.getFirst() instanceof Start start)) {
            return;
        }
        if (start.journalFormat() != FORMAT) {
            throw new ResumeException(
                    List.of("format of the journal: found " + start.journalFormat() + ", expected " + FORMAT));
        }
        List<String> differences = fingerprint.differencesFrom(new Fingerprint(start.fingerprint()));
        if (!differences.isEmpty()) {
            throw new ResumeException(differences);
        }
    }

    private static <E, R> int parts(UnfinishedOutput output, Work<E, R> work) {
        return Math.toIntExact(JournalFile.read(output.journal(), work.lines()).entries().stream()
                .filter(work::isPart)
                .count());
    }

    /** Says what is kept of a run that ends now, and how to resume it. */
    public static <E, R> String kept(UnfinishedOutput output, Work<E, R> work) {
        int parts = parts(output, work);
        return parts == 0
                ? work.nothingKept()
                : work.kept(parts) + " " + output.state() + "; run the same command with --resume to continue";
    }
}
