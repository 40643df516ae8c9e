package nibble.hub.client;

import java.net.http.HttpHeaders;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Says how often a request is tried and how long between: what the hub asks for, else doubling pauses.
 *
 * @param attempts tries in all
 * @param firstPause pause after the first failure; doubled each time
 * @param longestPause most that doubling comes to
 * @param sleeper what waits; tests do not
 */
public record Retries(int attempts, Duration firstPause, Duration longestPause, Sleeper sleeper) {
    /** The pauses of the hub's own tools. */
    public static final Retries STANDARD =
            new Retries(5, Duration.ofSeconds(1), Duration.ofSeconds(8), pause -> Thread.sleep(pause));

    /** A hub that asks for longer is not waited for. */
    static final Duration LONGEST_ASKED = Duration.ofMinutes(10);

    /**
     * {@code RateLimit: "api";r=0;t=55}: no requests left, 55 s until there are. The hub sends it with every answer.
     */
    private static final Pattern RATE_LIMIT = Pattern.compile("\\br\\s*=\\s*(\\d{1,9})\\s*;\\s*t\\s*=\\s*(\\d{1,9})");

    public interface Sleeper {
        void sleep(Duration pause) throws InterruptedException;
    }

    static boolean worthwhile(int status) {
        return switch (status) {
            case 408, 429, 500, 502, 503, 504 -> true;
            default -> false;
        };
    }

    /** The pause before try {@code attempt + 1}, if the hub asks for none: doubling. */
    Duration backoff(int attempt) {
        Duration pause = firstPause.multipliedBy(1L << Math.min(attempt - 1, 20));
        return pause.compareTo(longestPause) > 0 ? longestPause : pause;
    }

    /**
     * The pause that a refusal asks for: until the rate limit's window ends (and a second more, since the hub rounds
     * down), if that is what refused and no requests are left; else {@code Retry-After}, seconds or a date.
     */
    static Optional<Duration> asked(HttpHeaders headers, int status) {
        Matcher limit = RATE_LIMIT.matcher(headers.firstValue("ratelimit").orElse(""));
        if (status == 429 && limit.find() && Integer.parseInt(limit.group(1)) == 0) {
            return Optional.of(Duration.ofSeconds(Long.parseLong(limit.group(2)) + 1));
        }
        String after = headers.firstValue("retry-after").orElse("").strip();
        if (after.matches("\\d{1,9}")) {
            return Optional.of(Duration.ofSeconds(Long.parseLong(after)));
        }
        return date(after).map(until -> {
            Instant now = headers.firstValue("date").flatMap(Retries::date).orElseGet(Instant::now);
            return until.isBefore(now) ? Duration.ZERO : Duration.between(now, until);
        });
    }

    private static Optional<Instant> date(String text) {
        try {
            return Optional.of(ZonedDateTime.parse(text, DateTimeFormatter.RFC_1123_DATE_TIME)
                    .toInstant());
        } catch (DateTimeException e) {
            return Optional.empty();
        }
    }

    void sleep(Duration pause) {
        try {
            sleeper.sleep(pause);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new HubException("interrupted while waiting for the hub", -1, "", e);
        }
    }
}
