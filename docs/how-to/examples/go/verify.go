// Verify a phone number or e-mail address with nothing but Kafka and Avro.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const life = 300 // of the code, in seconds; at its end the pipeline ends the verification itself

var errUsage = errors.New(`usage: verify start RECIPIENT     then type the code, or resend, failover or cancel
       verify check ID CODE
       verify resend|failover ID [STEP]
       verify cancel ID`)

// start asks for a verification and follows it to its end; each line typed meanwhile is a code or a command.
func start(ctx context.Context, p *Pipeline, id, recipient string) error {
	if err := p.Publish(ctx, "verification.requests", recipient, "VerificationRequest", map[string]any{
		"verification_id": id, "recipient": recipient, "brand": "Example", "expires_in_s": life,
	}); err != nil {
		return err
	}
	fmt.Println("verification", id)
	lines := make(chan string)
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			lines <- strings.TrimSpace(in.Text())
		}
	}()
	for late := time.After(life*time.Second + within); ; {
		select {
		case one := <-p.Outcomes:
			fmt.Println(describe(one))
			switch {
			case one.IsFinal && one.State == "verified":
				return nil
			case one.IsFinal:
				return errors.New("not verified")
			case one.State != "pending":
				fmt.Println("Code, or resend, failover, cancel:")
			}
		case line := <-lines:
			words := strings.Fields(line)
			if len(words) == 0 {
				continue
			}
			if !slices.Contains([]string{"resend", "failover", "cancel"}, words[0]) {
				words = []string{"check", line}
			}
			if err := ask(ctx, p, id, words...); err != nil {
				return err
			}
		case err := <-p.Failed:
			return err
		case <-late:
			return errors.New("no final outcome in time; is the pipeline running?")
		}
	}
}

// ask publishes a check or command and prints the reply to it. The same id may be published again when in doubt: it
// counts once and always gets the same reply.
func ask(ctx context.Context, p *Pipeline, id string, words ...string) error {
	requestID, topic, name := rand.Text(), "verification.commands", "Command"
	fields := map[string]any{"command_id": requestID, "verification_id": id, "action": words[0]}
	if words[0] == "check" {
		topic, name = "verification.checks", "CodeCheck"
		fields = map[string]any{"check_id": requestID, "verification_id": id, "code": words[1]}
	} else if len(words) > 1 {
		step, err := strconv.Atoi(words[1])
		if err != nil {
			return errUsage
		}
		fields["step_index"] = step
	}
	if err := p.Publish(ctx, topic, id, name, fields); err != nil {
		return err
	}
	for late := time.After(within); ; {
		select {
		case reply := <-p.Replies:
			if reply.RequestID == requestID {
				fmt.Println(answer(reply))
				return nil
			}
		case err := <-p.Failed:
			return err
		case <-late:
			return fmt.Errorf("no reply within %s", within)
		}
	}
}

func describe(one Outcome) string {
	words := []string{fmt.Sprintf("v%d", one.Version), one.State}
	for _, more := range []*string{one.Reason, one.Provider} {
		if more != nil {
			words = append(words, *more)
		}
	}
	return strings.Join(words, " ")
}

func answer(reply Reply) string {
	switch {
	case reply.Kind == "check":
		return fmt.Sprintf("%s, %d checks left", reply.Reason, reply.ChecksLeft)
	case reply.RetryAt != nil:
		return fmt.Sprintf("%s until %s", reply.Reason, time.UnixMilli(*reply.RetryAt).UTC().Format(time.RFC3339))
	default:
		return reply.Reason
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) < 2 || len(args) > 3 {
		return errUsage
	}
	action, id := args[0], args[1]
	switch {
	case action == "start" && len(args) == 2:
		id = rand.Text() // the idempotency key: the same request published again changes nothing
	case action == "check" && len(args) == 3, action == "cancel" && len(args) == 2, action == "resend", action == "failover":
	default:
		return errUsage
	}
	p, err := Open(ctx, id)
	if err != nil {
		return err
	}
	defer p.Close()
	if action == "start" {
		return start(ctx, p, id, args[1])
	}
	return ask(ctx, p, id, append([]string{action}, args[2:]...)...)
}

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
