package nibble.hub;

import java.nio.file.Path;
import java.util.regex.Pattern;
import nibble.hub.client.RepoName;

/**
 * Says what to publish where.
 *
 * @param folder all files of it but hidden ones
 * @param branch made if it does not exist, at the repository's first commit, so that it holds nothing of {@code main}'s
 * @param visibility of a repository that is made now; an existing one keeps its own
 * @param how straight to the branch, or as a pull request to it
 * @param leftovers what becomes of weights in the repository that the folder does not have
 * @param message the commit's title
 * @param transfers transfers at a time
 */
public record PublishRequest(
        Path folder,
        RepoName repo,
        String branch,
        Visibility visibility,
        How how,
        Leftovers leftovers,
        String message,
        int transfers) {

    /** The branch that is published to where none is named. */
    public static final String MAIN = "main";

    /** The title of a commit where none is given. */
    public static final String MESSAGE = "Upload model with Nibble";

    /** Transfers at a time where no number is given. */
    public static final int TRANSFERS = 5;

    private static final Pattern BRANCH = Pattern.compile("[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,198}[A-Za-z0-9_-])?");

    /** Says who can see a new repository. */
    public enum Visibility {
        PUBLIC,
        PRIVATE
    }

    /** Lists what can be made. */
    public enum How {
        COMMIT,
        PULL_REQUEST,
        /** Asks the hub what would be sent, and changes nothing. */
        DRY_RUN
    }

    /**
     * Says what becomes of weight files of an earlier version under names that the new one does not use; loaders
     * that go by file load them too.
     */
    public enum Leftovers {
        KEEP,
        DELETE
    }

    /** Returns a commit to the main branch, which keeps weights that the folder does not have. */
    public static PublishRequest of(Path folder, RepoName repo, Visibility visibility) {
        return new PublishRequest(folder, repo, MAIN, visibility, How.COMMIT, Leftovers.KEEP, MESSAGE, TRANSFERS);
    }

    public PublishRequest {
        if (!BRANCH.matcher(branch).matches() || branch.contains("..") || branch.contains("//")) {
            throw new IllegalArgumentException("\"" + branch + "\" is not a branch name; write one as main or awq-32g");
        }
        if (message.isBlank() || message.contains("\n")) {
            throw new IllegalArgumentException("the commit's message is one line that is not empty");
        }
        if (transfers < 1 || transfers > 64) {
            throw new IllegalArgumentException(transfers + " transfers at a time; give 1 to 64");
        }
    }
}
