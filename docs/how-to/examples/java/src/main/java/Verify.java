import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;

/** Verifies a phone number or e-mail address with nothing but Kafka and Avro. */
public final class Verify {
    private static final String USAGE = """
        usage: Verify start RECIPIENT     then type the code, or resend, failover or cancel
               Verify check ID CODE
               Verify resend|failover ID [STEP]
               Verify cancel ID""";
    private static final int LIFE_S = 300; // of the code; at its end the pipeline ends the verification itself
    private static final Set<String> COMMANDS = Set.of("resend", "failover", "cancel");

    public static void main(String[] args) {
        boolean done = false;
        try {
            done = run(args);
        } catch (Exception error) {
            System.err.println(error.getMessage());
        }
        System.exit(done ? 0 : 1); // a thread may still wait for something to be typed
    }

    private static boolean run(String[] args) throws Exception {
        String action = args.length < 2 ? "" : args[0];
        boolean valid = switch (action) {
            case "start", "cancel" -> args.length == 2;
            case "check" -> args.length == 3;
            case "resend", "failover" -> args.length == 2 || args.length == 3 && args[2].matches("\\d{1,4}");
            default -> false;
        };
        if (!valid) {
            throw new IllegalArgumentException(USAGE);
        }
        // The id is the idempotency key: the same request published again changes nothing.
        String id = action.equals("start") ? UUID.randomUUID().toString() : args[1];
        try (var pipeline = new Pipeline(id)) {
            if (action.equals("start")) {
                return start(pipeline, id, args[1]);
            }
            ask(pipeline, id, action, args.length == 3 ? args[2] : null);
            return true;
        }
    }

    /** Asks for a verification and follows it to its end; each line typed meanwhile is a code or a command. */
    private static boolean start(Pipeline pipeline, String id, String recipient) throws Exception {
        pipeline.publish("verification.requests", recipient, "VerificationRequest",
            Map.of("verification_id", id, "recipient", recipient, "brand", "Example", "expires_in_s", LIFE_S));
        System.out.println("verification " + id);
        var typing = new Thread(() -> new BufferedReader(new InputStreamReader(System.in)).lines()
            .map(String::strip).filter(line -> !line.isEmpty()).forEach(pipeline.events::add));
        typing.setDaemon(true);
        typing.start();
        Instant late = Instant.now().plusSeconds(LIFE_S).plus(Pipeline.WITHIN);
        while (true) {
            long left = late.toEpochMilli() - System.currentTimeMillis();
            Object event = pipeline.events.poll(left, TimeUnit.MILLISECONDS);
            if (event instanceof RuntimeException error) {
                throw error;
            } else if (event instanceof String line) {
                ask(pipeline, id, COMMANDS.contains(line) ? line : "check", COMMANDS.contains(line) ? null : line);
            } else if (event instanceof GenericRecord one) {
                String state = one.get("state").toString();
                System.out.println(Stream.of("v" + one.get("version"), state, one.get("reason"), one.get("provider"))
                    .filter(Objects::nonNull).map(Object::toString).collect(Collectors.joining(" ")));
                if ((boolean) one.get("is_final")) {
                    return state.equals("verified");
                } else if (!state.equals("pending")) {
                    System.out.println("Code, or resend, failover, cancel:");
                }
            } else {
                throw new IllegalStateException("no final outcome in time; is the pipeline running?");
            }
        }
    }

    /** Has a code judged, or gives a command, and prints the reply. */
    private static void ask(Pipeline pipeline, String id, String action, String argument) throws Exception {
        String requestId = UUID.randomUUID().toString();
        var fields = new HashMap<String, Object>(Map.of("verification_id", id));
        GenericRecord reply;
        if (action.equals("check")) {
            fields.putAll(Map.of("check_id", requestId, "code", argument));
            reply = pipeline.ask(requestId, "verification.checks", "CodeCheck", fields);
        } else {
            var symbols = Pipeline.ours("Command").getField("action").schema();
            fields.putAll(Map.of("command_id", requestId, "action", new GenericData.EnumSymbol(symbols, action)));
            if (argument != null) {
                fields.put("step_index", Integer.valueOf(argument));
            }
            reply = pipeline.ask(requestId, "verification.commands", "Command", fields);
        }
        if (action.equals("check")) {
            System.out.println(reply.get("reason") + ", " + reply.get("checks_left") + " checks left");
        } else if (reply.get("retry_at") instanceof Long until) {
            System.out.println(reply.get("reason") + " until " + Instant.ofEpochMilli(until));
        } else {
            System.out.println(reply.get("reason"));
        }
    }
}
