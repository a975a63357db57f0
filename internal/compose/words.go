package compose

import "strings"

// common are words by how common they are, roughly.
var common = strings.Fields(`the of and to a in that is was it for on with as be at by this have from or had not but
what all were when we there can an your which their said if do will each about how up out them then she many some so
these would other into has more her two like him see time could no make than first been its who now people my made over
did down only way find use may water long little very after words called just where most know get through back much
before go good new write our used me man too any day same right look think also around another came come work three
must because does part even place well such here take why help put different away again off went old number great tell
men say small every found still between name should home big give air line set own under read last never us left end
along while might next sound below saw something thought both few those always looked show large often together asked
house world going want school important until form food keep children feet land side without boy once animals life
enough took sometimes four head above kind began almost live page got earth need far hand high year mother light parts
country father let night following picture being study second eyes soon times story boys since white days ever paper
hard near sentence better best across during today others however sure means knew try told young miles sun ways thing
whole hear example heard several change answer room sea against top turned learn point city play toward five using
himself usually money seen car morning letter meeting invoice server mailbox folder report backup draft budget minutes
order garden ticket travel winter station coffee window bridge music library kitchen weather project delivery contract
question reminder schedule holiday customer review release version printer network account password birthday dinner`)

var accented = strings.Fields(`Grüße Straße café naïve Müller größer français Ærø smörgåsbord señor 東京 Привет Ελλάδα
λόγος żółw Dvořák façade piñata Zürich übermorgen`)

var onsets = strings.Fields("b br d dr f fl g gr h j k kl l m n p pr r s sh st t tr v w z")
var nuclei = strings.Fields("a an ar e el en er i in ir o ol on or u ul un")
