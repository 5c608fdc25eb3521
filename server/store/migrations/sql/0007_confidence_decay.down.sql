-- Nothing would ever make them whole again.
UPDATE public.service_dependencies
SET confidence_score = reported_confidence
WHERE reported_confidence IS NOT NULL;

DROP TRIGGER freshen_when_observed ON public.service_dependencies;

DROP FUNCTION public.freshen_when_observed();

DROP FUNCTION public.decayed_confidence(double precision, interval, interval);

ALTER TABLE public.service_dependencies
    DROP COLUMN reported_confidence;
